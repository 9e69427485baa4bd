"""onehost: hosts."""

from xml.etree.ElementTree import Element

from merope.cli import formats, host_actions, states, values
from merope.cli.actions import delete_command, each_command, rename_command, update_command
from merope.cli.declare import Arg, Command, Tool, column, file, flag, ids, one, opt, ref, word
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, text

_MEASURED = "MONITORING/CAPACITY"


def _page() -> tuple[int, Show]:
    from merope.cli.shows.host import show

    return 22, show


def _state(host: Element, _: View) -> str:
    return states.word(states.HOST, host.findtext("STATE"))


def _share(host: Element, name: str) -> float:
    return formats.number(host.findtext(f"HOST_SHARE/{name}"))


def _allocated_cpu(host: Element, _: View) -> str:
    used, total = _share(host, "CPU_USAGE"), _share(host, "MAX_CPU")
    return _ratio(formats.decimal(used), formats.decimal(total), used, total)


def _allocated_memory(host: Element, _: View) -> str:
    used, total = _share(host, "MEM_USAGE"), _share(host, "MAX_MEM")
    return _ratio(formats.size(used), formats.size(total), used, total)


def _real_cpu(host: Element, _: View) -> str:
    used, total = formats.number(host.findtext(f"{_MEASURED}/USED_CPU")), _share(host, "MAX_CPU")
    return _ratio(formats.decimal(used), formats.decimal(total), used, total)


def _real_memory(host: Element, _: View) -> str:
    used, total = formats.number(host.findtext(f"{_MEASURED}/USED_MEMORY")), _share(host, "MAX_MEM")
    return _ratio(formats.size(used), formats.size(total), used, total)


def _ratio(used_text: str, total_text: str, used: float, total: float) -> str:
    return f"{used_text} / {total_text} ({formats.percent(used, total)}%)" if total else "-"


def _free_cpu(host: Element, _: View) -> str:
    return formats.decimal(_share(host, "MAX_CPU") - formats.number(host.findtext(f"{_MEASURED}/USED_CPU")))


def _unallocated_cpu(host: Element, _: View) -> str:
    return formats.decimal(_share(host, "MAX_CPU") - _share(host, "CPU_USAGE"))


def _free_memory(host: Element, _: View) -> str:
    used = formats.number(host.findtext(f"{_MEASURED}/USED_MEMORY"))
    return formats.size(max(_share(host, "MAX_MEM") - used, 0))


def _unallocated_memory(host: Element, _: View) -> str:
    return formats.size(max(_share(host, "MAX_MEM") - _share(host, "MEM_USAGE"), 0))


def _zombies(host: Element, _: View) -> str:
    return str(len(host.findall("TEMPLATE/ZOMBIES")))


TOOL = Tool(
    "onehost",
    "host",
    "hosts: where virtual machines run",
    (
        Command(
            "create",
            "add a host",
            host_actions.create,
            (word("hostname"), file()),
            (
                opt("--im", "im_mad", "the driver that monitors it", "-i"),
                opt("--vm", "vmm_mad", "the driver of its hypervisor", "-v"),
                ref("--cluster", "cluster", "the cluster to put it in (default: cluster 0)", "-c"),
                opt("--type", "remote_provider", "a provider (ec2, az) instead of a machine", "-t"),
            ),
            ("create node1 --im kvm --vm kvm",),
        ),
        delete_command("host"),
        each_command("host", "enable", "let hosts run machines", "status", 0),
        each_command(
            "host", "disable", "keep hosts from getting machines; they are still monitored", "status", 1
        ),
        each_command("host", "offline", "neither use nor monitor hosts", "status", 2),
        update_command("host"),
        Command(
            "sync",
            "bring the probes of this release to hosts (all, those given, or those of a cluster)",
            host_actions.sync,
            (ids("host")._replace(optional=True),),
            (
                ref("--cluster", "cluster", "the hosts of this cluster", "-c"),
                flag("--force", "also to hosts that have them (always done)"),
                flag("--ssh", "accepted as in 5.12: the way is that of the host's monitoring"),
            ),
            ("sync", "sync node1,node2"),
        ),
        *list_commands("host"),
        show_command("host", _page, decrypt=True),
        Command(
            "flush",
            "disable hosts and let the scheduler move their machines",
            host_actions.flush,
            (ids("host"),),
        ),
        Command(
            "recover",
            "decide what becomes of the machines of hosts that have failed",
            host_actions.recover,
            (ids("host"),),
            (
                *(flag(f"--{name}", text) for name, text in host_actions.RECOVERIES.items()),
                flag("--force", "also machines that are suspended or powered off"),
                opt("--cycles", "cycles", "monitoring cycles to wait for them", "", values.natural),
                flag("--no-fencing", "you vouch for it that they are off: they are not switched off"),
            ),
            ("recover 3 --migrate", "recover 3 --confirm"),
        ),
        rename_command("host"),
        Command(
            "importvm",
            "take over a machine that runs there without being known (a wild one)",
            host_actions.importvm,
            (one("host"), word("name")),
        ),
        Command(
            "forceupdate",
            "monitor hosts anew (all, those given, or those of a cluster)",
            host_actions.forceupdate,
            (ids("host")._replace(optional=True),),
            (ref("--cluster", "cluster", "the hosts of this cluster", "-c"),),
        ),
        Command(
            "monitoring",
            "print what was measured, as a table or CSV",
            host_actions.monitoring,
            (one("host"), Arg("attr")),
            (
                opt("--start", "date", "from this time on"),
                opt("--end", "date", "until this time"),
                opt("--unit", "unit", "K, M, G or T: the unit of the values that are measured in it"),
                flag("--table", "print a table (the default)"),
                opt("--n", "elements", "the last so many values", "", values.positive),
                opt("--csv", "separator", "print values with this separator"),
            ),
            ("monitoring 0 FREE_MEMORY",),
        ),
    ),
    (
        column("ID:4R~", "the host's id", text("ID")),
        column("NAME:15L+", "its name", text("NAME")),
        column("CLUSTER:10L", "its cluster", text("CLUSTER")),
        column("TVM:3R", "how many machines it has", text("HOST_SHARE/RUNNING_VMS")),
        column(
            "ALLOCATED_CPU:18R", "CPU promised to machines, of all it has (100: one core)", _allocated_cpu
        ),
        column("ALLOCATED_MEM:18R", "memory promised to machines, of all it has", _allocated_memory),
        column("STAT:4L", "its state", _state),
    ),
    (
        column("ZVM:3R", "machines on it that should not be there any more", _zombies),
        column("TCPU:4R", "all its CPU", lambda h, _: formats.decimal(_share(h, "MAX_CPU"))),
        column("FCPU:4R", "CPU that is idle", _free_cpu),
        column("ACPU:4R", "CPU that is promised to nobody", _unallocated_cpu),
        column("TMEM:7R", "all its memory", lambda h, _: formats.size(_share(h, "MAX_MEM"))),
        column("FMEM:7R", "memory that is free", _free_memory),
        column("AMEM:7R", "memory that is promised to nobody", _unallocated_memory),
        column("REAL_CPU:18R", "CPU in use, of all it has", _real_cpu),
        column("REAL_MEM:18R", "memory in use, of all it has", _real_memory),
        column("PROVIDER:8R", "its provider", text("TEMPLATE/PM_MAD", "-")),
    ),
)
