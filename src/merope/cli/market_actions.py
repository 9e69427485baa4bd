"""What `onemarketapp` does beyond calling one method: publish and download (market_export: export)."""

import os

from merope.cli.context import Context
from merope.cli.errors import CliError, UsageError
from merope.cli.vm_create import parsed
from merope.model.template import Template

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
