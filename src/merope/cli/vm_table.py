"""The columns of `onevm list`; the pages of hosts and images list machines with them, too."""

from xml.etree.ElementTree import Element

from merope.cli import formats, states
from merope.cli.declare import column
from merope.cli.view import View, group, text, user

_ADDRESSES = ("IP", "IP6", "IP6_GLOBAL", "IP6_ULA", "EXTERNAL_IP")


def state(vm: Element, _: View) -> str:
    return states.virtual_machine(vm.findtext("STATE"), vm.findtext("LCM_STATE"))


def memory(vm: Element, _: View) -> str:
    """What the host measured (KB), before that what the machine asks for (MB).

    5.12 prints the requested megabytes as kilobytes; a person is better served by the truth.
    """
    if (measured := formats.number(vm.findtext("MONITORING/MEMORY"))) > 0:
        return formats.size(measured, "K")
    return formats.size(formats.number(vm.findtext("TEMPLATE/MEMORY")), "M")


def host(vm: Element, _: View) -> str:
    names = vm.findall("HISTORY_RECORDS/HISTORY/HOSTNAME")
    return (names[-1].text or "") if names else ""


def running_time(vm: Element, view: View) -> str:
    end = formats.integer(vm.findtext("ETIME")) or view.now
    return formats.duration(end - formats.integer(vm.findtext("STIME")))


def cluster(vm: Element, view: View) -> str:
    ids = vm.findall("HISTORY_RECORDS/HISTORY/CID")
    return view.name_of("cluster", ids[-1].text or "") if ids else ""


def addresses(vm: Element, _: View) -> str:
    found = [
        nic.findtext(name, "")
        for tag in ("NIC", "NIC_ALIAS")
        for nic in vm.iterfind(f"TEMPLATE/{tag}")
        for name in _ADDRESSES
    ]
    return ",".join(filter(None, found)) or "--"


COLUMNS = (
    column("ID:4R~", "the machine's id", text("ID")),
    column("USER:8L", "its owner", user),
    column("GROUP:8L", "its group", group),
    column("NAME:15L+", "its name", text("NAME")),
    column("STAT:4R", "its state, while it is active the state of its life-cycle", state),
    column("CPU:4R", "the CPUs that it asks for", text("TEMPLATE/CPU")),
    column("MEM:7R", "the memory that it uses, before it runs what it asks for", memory),
    column("HOST:10L+", "the host where it is or was last", host),
    column("TIME:10R", "the time since its creation", running_time),
)

MORE_COLUMNS = (
    column("CLUSTER:10L", "the cluster of its host", cluster),
    column("IP:15L!", "its addresses", addresses),
)
