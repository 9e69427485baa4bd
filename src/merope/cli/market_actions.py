"""What `onemarketapp` does beyond calling one method: publish, export, download."""

import base64
import binascii
import os
from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.errors import CliError, UsageError
from merope.cli.vm_create import parsed
from merope.model.template import Template, Vector

_NO_TEMPLATE = -1
_IMAGE = "1"
_CHUNK = 1 << 20
#: Seconds without a byte after which a download is given up.
_TIMEOUT = 60


def create(ctx: Context) -> None:
    text = _template(ctx)
    if ctx.flag("dry"):
        ctx.print(text.rstrip("\n"))
        return
    if not ctx.flag("marketplace"):
        raise UsageError("--marketplace must be given: where the app is to be published.")
    market = ctx.option_oid("marketplace", "market")
    ctx.print_id(ctx.client.number("one.marketapp.allocate", text, market))


def _template(ctx: Context) -> str:
    template = Template()
    for option in ("name", "description"):
        if value := ctx.option(option, str):
            template.set(option, value)
    if ctx.flag("image"):
        template.set("ORIGIN_ID", str(ctx.option_oid("image", "image")))
    text = ctx.read_template()
    if text is None:
        if not template:
            raise UsageError("A template file or options such as --name and --image must be given.")
        template.set("TYPE", "image")
        return template.to_text()
    if not template:
        return text
    merged = parsed(text)
    merged.merge(template)
    return merged.to_text()


def export(ctx: Context) -> None:
    """An image that is copied from the app, and the app's template around it."""
    oid, name = ctx.oid(), ctx.word("name")
    app = ctx.client.info("marketapp", oid)
    if app.findtext("TYPE") != _IMAGE:
        raise CliError(f"App {oid} is no image; only images can be exported.")
    if not ctx.flag("datastore"):
        raise UsageError("--datastore must be given: where the image is to be kept.")
    datastore = ctx.option_oid("datastore", "datastore")
    # Both templates are read before anything is made, so that a broken one leaves nothing behind.
    machine = _encoded(app, "TEMPLATE/VMTEMPLATE64")
    image = _image_template(ctx, app, name)
    image_id = ctx.client.number("one.image.allocate", image.to_text(), datastore, True)
    template_id = _NO_TEMPLATE
    if machine is not None:
        machine.remove("DISK")
        machine.add("DISK", Vector({"IMAGE_ID": str(image_id)}))
        machine.set("NAME", ctx.option("vmname", str) or name)
        template_id = ctx.client.number("one.template.allocate", machine.to_text())
    for title, new in (("IMAGE", image_id), ("VMTEMPLATE", template_id)):
        ctx.print(f"{title}\n    ID: {new}")


def _image_template(ctx: Context, app: Element, name: str) -> Template:
    """FROM_APP makes the cloud fill in path, format and checksum (spec templates `FROM_APP`)."""
    image = _encoded(app, "APPTEMPLATE64") or Template()
    image.set("NAME", name)
    image.set("FROM_APP", app.findtext("ID", ""))
    if tag := ctx.option("tag", str):
        source = app.findtext("SOURCE", "")
        image.set("PATH", f"{source}{'&' if '?' in source else '?'}tag={tag}")
    return image


def _encoded(app: Element, where: str) -> Template | None:
    """The template in base64 at `where`, None when there is none.  Raises CliError when it is not one."""
    if not (text := app.findtext(where)):
        return None
    try:
        return parsed(base64.b64decode("".join(text.split()), validate=True).decode())
    except (binascii.Error, UnicodeDecodeError) as e:
        raise CliError(f"{where} of app {app.findtext('ID')} is no template in base64: {e}") from e


def download(ctx: Context) -> None:
    """The app's SOURCE into a file, its checksum compared; a file only appears when it is complete."""
    oid, path = ctx.oid(), ctx.word("path")
    app = ctx.client.info("marketapp", oid)
    source = app.findtext("SOURCE", "")
    if not source.startswith(("http://", "https://")):
        raise CliError(f"App {oid} is at '{source}', which cannot be downloaded from here (http, https).")
    if os.path.exists(path) and not ctx.flag("force"):
        raise CliError(f"{path} exists; --force overwrites it.")
    partial = f"{path}.part"
    try:
        digest = _fetch(source, partial)
        expected = app.findtext("MD5") or digest
        if digest != expected.lower():
            raise CliError(f"What came from {source} has the MD5 sum {digest}, expected was {expected}.")
        os.replace(partial, path)
    except OSError as e:
        raise CliError(f"App {oid} cannot be downloaded from {source} to {path}: {e}.") from e
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


def _fetch(source: str, path: str) -> str:
    """The MD5 sum of what was written (that is what marketplaces publish)."""
    import hashlib
    import urllib.request

    digest = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(source)  # noqa: S310 - the caller allows http and https only
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer, open(path, "xb") as target:  # noqa: S310
        while chunk := answer.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()
