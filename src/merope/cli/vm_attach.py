"""Disks and interfaces of machines that are there: attach, detach, save, resize."""

from merope.cli import parts
from merope.cli.context import Context
from merope.cli.declare import Run
from merope.cli.errors import UsageError
from merope.cli.vm_options import network, resource
from merope.model.template import Template, Vector


def call(method: str, *arguments: str) -> Run:
    """one.vm.<method>(id, *the named arguments)."""

    def run(ctx: Context) -> None:
        oid = ctx.oid()
        ctx.client.call(f"one.vm.{method}", oid, *parts.arguments(ctx, oid, arguments))

    return run


def disk_saveas(ctx: Context) -> None:
    snapshot = ctx.option("snapshot", int)
    oid = ctx.oid()
    ctx.print_id(
        ctx.client.number(
            "one.vm.disksaveas",
            oid,
            parts.number(ctx, oid, "diskid"),
            ctx.word("img_name"),
            ctx.option("type", str) or "",
            -1 if snapshot is None else snapshot,
        )
    )


def disk_resize(ctx: Context) -> None:
    oid = ctx.oid()
    disk = parts.number(ctx, oid, "diskid")
    ctx.client.call("one.vm.diskresize", oid, disk, str(ctx.number("size")))


def disk_attach(ctx: Context) -> None:
    ctx.client.call("one.vm.attach", ctx.oid(), _template(ctx, "DISK", "image"))


def nic_attach(ctx: Context) -> None:
    tag = "NIC_ALIAS" if ctx.option("alias", str) else "NIC"
    ctx.client.call("one.vm.attachnic", ctx.oid(), _template(ctx, tag, "network"))


#: Options and the attributes that they set.
_ATTRIBUTES = (
    ("target", "TARGET"),
    ("cache", "CACHE"),
    ("discard", "DISCARD"),
    ("prefix", "DEV_PREFIX"),
    ("ip", "IP"),
    ("alias", "PARENT"),
    ("nic_name", "NAME"),
)


def _template(ctx: Context, tag: str, what: str) -> str:
    """From --file, else a vector `tag` of the options around --image or --network."""
    if path := ctx.option("file", str):
        return ctx.terminal.read_file(path)
    if not (reference := ctx.option(what, str)):
        raise UsageError(f"--{what} or --file must be given.")
    vector: Vector = network(reference) if what == "network" else resource(reference, "IMAGE", "--image")
    for option, attribute in _ATTRIBUTES:
        if value := ctx.option(option, str):
            vector[attribute] = value
    return Template([(tag, vector)]).to_text()
