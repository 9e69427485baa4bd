"""`onevm create` and `updateconf`."""

from merope.cli import values
from merope.cli.context import Context
from merope.cli.declare import flag, opt
from merope.cli.errors import CliError, UsageError
from merope.cli.vm_options import TEMPLATE_OPTIONS, template_from_options
from merope.model.template import Template, TemplateError

CREATE_OPTIONS = (
    opt("--multiple", "x", "create so many machines; %i in the name is the number", "-m", values.positive),
    flag("--hold", "keep them from being scheduled"),
    opt("--name", "name", "the machine's name"),
    *TEMPLATE_OPTIONS,
    flag("--dry", "print the template instead of sending it"),
)

#: The sections that one.vm.updateconf takes.
_CONFIGURATION = ("OS", "CPU_MODEL", "FEATURES", "INPUT", "GRAPHICS", "RAW", "CONTEXT")


def create(ctx: Context) -> None:
    text = template_text(ctx)
    name = ctx.option("name", str)
    if ctx.flag("dry"):
        ctx.print(_named(text, name, 0).rstrip("\n"))
        return
    for number in range(ctx.option("multiple", int) or 1):
        ctx.print_id(ctx.client.number("one.vm.allocate", _named(text, name, number), ctx.flag("hold")))


def template_text(ctx: Context) -> str:
    """The file's text, what the options say, or the file with the options over it."""
    text = ctx.read_template()
    options = template_from_options(ctx)
    if text is None:
        if not options and not ctx.flag("name"):
            raise UsageError("A template file or options such as --name, --cpu and --memory must be given.")
        return options
    return merged(text, options) if options else text


def merged(text: str, options: str) -> str:
    """One template over another.  Raises CliError when one of them cannot be read."""
    template = parsed(text)
    template.merge(parsed(options))
    return template.to_text()


def parsed(text: str) -> Template:
    try:
        return Template.parse(text)
    except TemplateError as e:
        raise CliError(str(e)) from e


def _named(text: str, name: str | None, number: int) -> str:
    if name is None:
        return text
    own = Template([("NAME", name.replace("%i", str(number)))])
    return merged(text, own.to_text()) if text else own.to_text()


def updateconf(ctx: Context) -> None:
    oid = ctx.oid()
    text = ctx.read_template()
    if text is None:
        element = ctx.client.info("vm", oid).find("TEMPLATE")
        now = Template() if element is None else Template.from_element(element)
        before = Template((name, value) for name, value in now.items() if name in _CONFIGURATION)
        text = ctx.terminal.edit(before.to_text())
    if text is not None:
        ctx.client.call("one.vm.updateconf", oid, text)
