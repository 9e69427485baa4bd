"""Templates from options: `--cpu 1 --memory 128M --disk img --nic net …` (create, instantiate, attach)."""

import re

from merope.cli import values
from merope.cli.context import Context
from merope.cli.declare import Opt, flag, opt
from merope.cli.errors import CliError, UsageError
from merope.model.template import Template, TemplateError, Vector

#: `name`, `3`, `user[name]`, and `:KEY=VALUE` any number of times after it.
_RESOURCE = re.compile(
    r"(?:(?P<owner>[^\[\]:]+)\[(?P<owned>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?P<extra>(?::.*)?)"
)

_GRAPHICS = ("vnc", "spice")


def _graphics_options(kind: str) -> tuple[Opt, ...]:
    label = kind.upper()
    return (
        flag(f"--{kind}", f"add a {label} console"),
        opt(f"--{kind}-password", "password", f"the {label} console's password"),
        opt(f"--{kind}-listen", "ip", f"the address on which {label} listens (default 0.0.0.0)"),
        opt(f"--{kind}-keymap", "keymap", f"the {label} console's keyboard layout"),
    )


CAPACITY_OPTIONS = (
    opt("--cpu", "cpu", "CPUs to reserve; 0.5 is half a core", "", values.decimal),
    opt("--vcpu", "vcpu", "virtual CPUs that the guest sees", "", values.positive),
    opt("--memory", "size", "memory in MB, or with a unit (512M, 2G)", "", values.megabytes),
)

TEMPLATE_OPTIONS = (
    *CAPACITY_OPTIONS,
    opt("--arch", "arch", "the guest's architecture (x86_64)"),
    opt(
        "--disk", "image0,image1", "images by name, id or user[name]; more with :KEY=VALUE", "", values.words
    ),
    opt("--nic", "network0,network1", "networks likewise; auto: the scheduler chooses", "", values.words),
    opt("--raw", "string", "text to add to the template as it is"),
    *_graphics_options("vnc"),
    *_graphics_options("spice"),
    opt("--ssh", "[file]", "a public key for the guest (no file: the user's SSH_PUBLIC_KEY)"),
    flag("--net_context", "let the guest configure its network"),
    opt("--context", "line1,line2,line3", "lines KEY=VALUE for the guest's context", "", values.words),
    opt("--boot", "device_list", "devices to boot from (disk0,nic0)"),
    opt("--files_ds", "file1,file2", "files of the file datastore for the context", "", values.words),
    opt("--init", "script1,script2", "scripts of the context to run at the start", "", values.words),
    opt("--startscript", "[file]", "a script for the guest to run at its start"),
    flag("--report_ready", "let the guest report that it is ready"),
    opt("--vcenter_vm_folder", "path", "the folder in vCenter"),
    opt("--as_gid", "gid", "create it in this group", "", values.natural),
    opt("--as_uid", "uid", "create it for this user", "", values.natural),
)


def template_from_options(ctx: Context) -> str:
    """The text of a template with what the options of TEMPLATE_OPTIONS say (empty: nothing)."""
    template = Template()
    _capacity(ctx, template)
    for name, attribute in (("vcenter_vm_folder", "VCENTER_VM_FOLDER"),):
        if value := ctx.option(name, str):
            template.set(attribute, value)
    for name in ("as_gid", "as_uid"):
        if (number := ctx.option(name, int)) is not None:
            template.set(name, str(number))
    system = Vector()
    for name in ("arch", "boot"):
        if value := ctx.option(name, str):
            system[name.upper()] = value
    if system:
        template.set("OS", system)
    for reference in ctx.option("disk", list) or []:
        template.add("DISK", resource(reference, "IMAGE", "--disk"))
    for reference in ctx.option("nic", list) or []:
        template.add("NIC", network(reference))
    for kind in _GRAPHICS:
        if graphics := _graphics(ctx, kind):
            template.add("GRAPHICS", graphics)
    if context := _context(ctx):
        template.set("CONTEXT", context)
    text = template.to_text()
    if raw := ctx.option("raw", str):
        text += raw + "\n"
    return text


def capacity_from_options(ctx: Context) -> str:
    template = Template()
    _capacity(ctx, template)
    return template.to_text()


def resource(reference: str, attribute: str, option: str) -> Vector:
    """`image`, `3`, `ann[image]:SIZE=1000` as a vector with IMAGE or IMAGE_ID, IMAGE_UNAME and SIZE."""
    if (match := _RESOURCE.fullmatch(reference)) is None:
        raise UsageError(f"{option}: '{reference}' should be a name, an id or user[name], then :KEY=VALUE.")
    vector = Vector()
    if owner := match["owner"]:
        vector[attribute] = match["owned"]
        vector[f"{attribute}_UNAME"] = owner
    else:
        name = match["name"]
        vector[f"{attribute}_ID" if isinstance(values.id_or_name(name), int) else attribute] = name
    for pair in match["extra"].split(":")[1:]:
        key, equals, value = pair.partition("=")
        if not (key.strip().isidentifier() and equals):
            raise UsageError(f"{option}: '{pair}' of '{reference}' should be KEY=VALUE.")
        vector[key.strip().upper()] = value
    return vector


def network(reference: str) -> Vector:
    name, colon, extra = reference.partition(":")
    if name.lower() != "auto":
        return resource(reference, "NETWORK", "--nic")
    vector = resource(f"auto{colon}{extra}", "NETWORK", "--nic")
    del vector["NETWORK"]
    return Vector({"NETWORK_MODE": "auto", **vector})


def _capacity(ctx: Context, template: Template) -> None:
    if (cpu := ctx.option("cpu", float)) is not None:
        template.set("CPU", f"{cpu:g}")
    for name in ("vcpu", "memory"):
        if (number := ctx.option(name, int)) is not None:
            template.set(name, str(number))


def _graphics(ctx: Context, kind: str) -> Vector | None:
    details = {
        name: value
        for name in ("listen", "password", "keymap")
        if (value := ctx.option(f"{kind}-{name}", str)) is not None
    }
    if not details and not ctx.flag(kind):
        return None
    vector = Vector({"TYPE": kind, "LISTEN": details.get("listen", "0.0.0.0")})  # noqa: S104 - 5.12's default
    if "password" in details:
        vector["PASSWD"] = details["password"]
    if "keymap" in details:
        vector["KEYMAP"] = details["keymap"]
    return vector


def _context(ctx: Context) -> Vector:
    context = Vector()
    for line in ctx.option("context", list) or []:
        key, equals, value = line.partition("=")
        if not (key.strip().isidentifier() and equals):
            raise UsageError(f"--context: '{line}' should be KEY=VALUE.")
        context[key.strip().upper()] = _unquoted(value.strip())
    if (key_file := ctx.option("ssh", str)) is not None:
        context["SSH_PUBLIC_KEY"] = (
            ctx.terminal.read_file(key_file).strip() if key_file else "$USER[SSH_PUBLIC_KEY]"
        )
    if ctx.flag("net_context"):
        context["NETWORK"] = "YES"
    if files := ctx.option("files_ds", list):
        context["FILES_DS"] = " ".join(_file_variable(f) for f in files)
    if scripts := ctx.option("init", list):
        context["INIT_SCRIPTS"] = " ".join(scripts)
    if (script := ctx.option("startscript", str)) is not None:
        text = ctx.terminal.read_file(script) if script else ctx.terminal.edit("#!/bin/sh\n", ".sh")
        if not text:
            raise CliError("--startscript: no script was written.")
        context["START_SCRIPT"] = text
    if ctx.flag("report_ready"):
        context["REPORT_READY"] = "YES"
        context["TOKEN"] = "YES"  # noqa: S105 - a switch, no token
    return context


def _file_variable(reference: str) -> str:
    vector = resource(reference, "IMAGE", "--files_ds")
    pairs = ", ".join(
        f"{key}={value}" if key == "IMAGE_ID" else f'{key}="{value}"' for key, value in vector.items()
    )
    return f"$FILE[{pairs}]"


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def with_attributes(text: str, *attributes: tuple[str, str]) -> str:
    """A template's text with single attributes replaced.  Raises CliError when it cannot be read."""
    try:
        template = Template.parse(text)
    except TemplateError as e:
        raise CliError(str(e)) from e
    for name, value in attributes:
        template.set(name, value)
    return template.to_text()
