"""What `onehost` does beyond calling one method for each host."""

import base64
import binascii
from collections.abc import Callable

from merope.cli import formats
from merope.cli.column_files import default_action
from merope.cli.context import Context
from merope.cli.errors import CliError, UsageError
from merope.cli.schedule import epoch
from merope.client import Client, OneError, whole
from merope.model.template import Template, TemplateError

_MONITORED_NO_MORE = frozenset(("4", "8"))  # DISABLED and OFFLINE stay as someone has set them
#: Seconds between two looks are the monitor's; KB is what memory is measured in.
_UNITS = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}


def create(ctx: Context) -> None:
    im_mad, vm_mad = ctx.option("im", str), ctx.option("vm", str)
    if provider := ctx.option("type", str):
        im_mad, vm_mad = im_mad or provider, vm_mad or provider
    if not (im_mad and vm_mad):
        raise UsageError(
            "--im and --vm must be given: the monitoring and the hypervisor driver (kvm, dummy …)."
        )
    text = ctx.read_template()
    oid = ctx.client.number(
        "one.host.allocate", ctx.word("hostname"), im_mad, vm_mad, ctx.option_oid("cluster", "cluster")
    )
    if text:
        ctx.client.call("one.host.update", oid, text, 1)
    ctx.print_id(oid)


#: What becomes of the machines of a host that is flushed: `:default_actions` of the column file.
_FLUSHING: dict[str, Callable[[Client, int], object]] = {
    "resched": lambda client, vm: client.call("one.vm.action", "resched", vm),
    "delete": lambda client, vm: client.call("one.vm.recover", vm, 3),
    "delete-recreate": lambda client, vm: client.call("one.vm.recover", vm, 4),
}


def flush(ctx: Context) -> int:
    """Disable first, so that nothing comes back to the host."""
    name = default_action(ctx.invocation.tool, "flush", ctx.terminal.environ) or "resched"
    if (action := _FLUSHING.get(name)) is None:
        raise CliError(f"The default action of flush should be one of {', '.join(_FLUSHING)}, not '{name}'.")

    def act(oid: int) -> None:
        ctx.client.call("one.host.status", oid, 1)
        machines = [whole(e) for e in ctx.client.info("host", oid).iterfind("VMS/ID")]
        if ctx.for_each(machines, lambda vm: action(ctx.client, vm)):
            raise CliError(f"Not all machines of host {oid} will be moved.")

    return ctx.for_each(ctx.ids(), act)


#: Option of `onehost recover` → what it asks for.
RECOVERIES = {
    "migrate": "move its machines to other hosts, once it is off",
    "recreate": "delete its machines and make them anew, once it is off: what they wrote is lost",
    "delete": "delete its machines, once it is off",
    "confirm": "you have made sure that it is off: go on",
    "proceed": "go on although so many hosts have failed",
    "cancel": "do nothing for its machines",
}


def recover(ctx: Context) -> int:
    wanted = [name for name in RECOVERIES if ctx.flag(name)]
    if len(wanted) != 1:
        raise UsageError(f"Exactly one of {', '.join(f'--{name}' for name in RECOVERIES)} must be given.")
    cycles = ctx.option("cycles", int) or 0
    more = (wanted[0], ctx.flag("force"), cycles, not ctx.flag("no-fencing"))
    return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call("one.host.recover", oid, *more))


def importvm(ctx: Context) -> None:
    host = ctx.oid()
    name = ctx.word("name")
    for wild in ctx.client.info("host", host).iterfind("TEMPLATE/VM"):
        if name not in (wild.findtext("VM_NAME"), wild.findtext("DEPLOY_ID")):
            continue
        try:
            text = base64.b64decode(wild.findtext("IMPORT_TEMPLATE", ""), validate=True).decode()
            template = Template.parse(text)
        except (binascii.Error, UnicodeDecodeError, TemplateError) as e:
            raise CliError(f"The import template of {name} on host {host} cannot be read: {e}") from e
        if deploy_id := wild.findtext("DEPLOY_ID"):
            template.set("DEPLOY_ID", deploy_id)
        if "NAME" not in template:
            template.set("NAME", wild.findtext("VM_NAME") or name)
        # On hold, lest the scheduler takes it for a new machine and starts it somewhere.
        vm = ctx.client.number("one.vm.allocate", template.to_text(), True)
        try:
            ctx.client.call("one.vm.deploy", vm, host, False, -1, "")
        except OneError:
            # A machine that cannot be taken back either is said beside the reason.
            ctx.for_each([vm], lambda oid: ctx.client.call("one.vm.action", "terminate-hard", oid))
            raise
        ctx.print_id(vm)
        return
    raise CliError(f"Host {host} has no wild machine named {name}.")


def sync(ctx: Context) -> int:
    """A host that is enabled anew is brought what it lacks."""
    code = forceupdate(ctx)
    if code == 0:
        ctx.print("All hosts updated successfully.")
    return code


def forceupdate(ctx: Context) -> int:
    """Enabling a host that is enabled makes the monitor start over."""
    hosts = ctx.client.pool("host")
    wanted = ctx.ids() if ctx.has("hostid_list") else None
    cluster = ctx.option_oid("cluster", "cluster")
    chosen = [
        whole(h, "ID")
        for h in hosts
        if h.findtext("STATE") not in _MONITORED_NO_MORE
        and (wanted is None or whole(h, "ID") in wanted)
        and cluster in (-1, whole(h, "CLUSTER_ID"))
    ]
    return ctx.for_each(chosen, lambda oid: ctx.client.call("one.host.status", oid, 0))


def monitoring(ctx: Context) -> None:
    """One line for each measurement: the time and the attribute's value."""
    oid, attribute = ctx.oid(), ctx.word("attr").upper()
    records = ctx.client.document("one.host.monitoring", oid).findall("MONITORING")
    start, end = (epoch(t) if (t := ctx.option(n, str)) else None for n in ("start", "end"))
    measured: list[tuple[int, str]] = []
    for record in records:
        when = formats.integer(record.findtext("TIMESTAMP"))
        value = next((e.text or "" for e in record.iter(attribute)), None)
        if value is not None and (start is None or when >= start) and (end is None or when <= end):
            measured.append((when, value))
    if not measured:
        raise CliError(f"Nothing was measured of {attribute} on host {oid}.")
    measured = sorted(measured)[-(ctx.option("n", int) or 0) :]
    separator = ctx.option("csv", str)
    unit = (ctx.option("unit", str) or "").upper()
    if unit and unit not in _UNITS:
        raise UsageError(f"--unit: one of {', '.join(_UNITS)} is expected.")
    for when, value in measured:
        shown = f"{formats.decimal(formats.number(value) / _UNITS[unit])}{unit}" if unit else value
        ctx.print(f"{when}{separator}{shown}" if separator else f"{formats.date(when)} {shown:>15}")
