"""VMs that have CPUs, huge pages and PCI devices of their host for themselves."""

from merope.model.phase import Phase
from merope.model.vm import VM
from merope.simulation.deeds.call import Call, Deed, any_of
from merope.simulation.draws import Draw

#: Hosts with a topology; the second lets two VMs share a CPU.
PINNED_HOSTS = (4, 5)
_SETTINGS = (
    "PIN_POLICY=PINNED",
    "PIN_POLICY=PINNED",
    'PIN_POLICY=PINNED\nISOLCPUS=""',
    'PIN_POLICY=PINNED\nISOLCPUS="0,4"',
    'PIN_POLICY=PINNED\nISOLCPUS="1-3"',
    "PIN_POLICY=NONE",
)
_DEVICES = (
    "PCI=[VENDOR=8086]",
    "PCI=[CLASS=0302]",
    "PCI=[VENDOR=10de]",
    "PCI=[VENDOR=8086]\nPCI=[DEVICE=1eb8]",
    "PCI=[CLASS=ffff]",
)


def _template(draw: Draw) -> str:
    vcpus = draw.one((1, 1, 2, 2, 4, 3))
    policy = draw.one(("CORE", "CORE", "THREAD", "THREAD", "SHARED", "NONE"))
    more = draw.one(
        ("", "", "", ",SOCKETS=2", ",THREADS=2", ",THREADS=1", ",HUGEPAGE_SIZE=2", ",HUGEPAGE_SIZE=1024")
    )
    lines = [f"MEMORY={draw.one((64, 512, 2048))}", f"VCPU={vcpus}", "CPU=0.5"]
    if draw.likely(0.8):
        lines.append(f"TOPOLOGY=[PIN_POLICY={policy}{more}]")
    if draw.likely(0.5):
        lines.append(draw.one(_DEVICES))
    if draw.likely(0.1):
        lines.append(f"PCI=[CLASS=0200,TYPE=NIC,NETWORK_ID={draw.oid('vn')}]")
    if draw.likely(0.5):
        lines.append("DISK=[IMAGE_ID=0]")
    return "\n".join(lines)


def _allocate(draw: Draw) -> Call:
    return "one.vm.allocate", [_template(draw), draw.likely(0.2)], 0


def _is_pinned(draw: Draw, oid: int) -> bool:
    vm = draw.state.pools["vm_pool"].parsed(oid)
    return isinstance(vm, VM) and ("TOPOLOGY" in vm.template or "PCI" in vm.template)


def _one(draw: Draw, *phases: Phase) -> int | None:
    found = [oid for oid in draw.ids("vm") if _is_pinned(draw, oid) and draw.phase(oid) in phases]
    return draw.one(found) if found else None


def _deploy(draw: Draw) -> Call | None:
    vm = _one(draw, Phase.PENDING, Phase.HOLD)
    if vm is None:
        return None
    host = draw.one(PINNED_HOSTS) if draw.likely(0.9) else draw.oid("host")
    return "one.vm.deploy", [vm, host, draw.likely(0.5), -1, ""], 0


def _migrate(draw: Draw) -> Call | None:
    vm = _one(draw, Phase.RUNNING, Phase.UNKNOWN, Phase.POWEROFF, Phase.SUSPENDED)
    if vm is None:
        return None
    arguments = [vm, draw.one(PINNED_HOSTS), draw.likely(0.1), draw.likely(0.5), -1, draw.one((0, 1, 2, 2))]
    return "one.vm.migrate", arguments, 0


def _act(draw: Draw) -> Call | None:
    vm = _one(draw, Phase.RUNNING, Phase.POWEROFF, Phase.SUSPENDED, Phase.STOPPED, Phase.UNDEPLOYED)
    actions = ("poweroff-hard", "suspend", "resume", "stop", "undeploy-hard", "terminate-hard", "resched")
    return None if vm is None else ("one.vm.action", [draw.one(actions), vm], 0)


def _resize(draw: Draw) -> Call | None:
    vm = _one(draw, Phase.POWEROFF, Phase.PENDING, Phase.HOLD, Phase.UNDEPLOYED)
    wanted = draw.one(("VCPU=2", "VCPU=4\nMEMORY=1024", "VCPU=1", "MEMORY=4096"))
    return None if vm is None else ("one.vm.resize", [vm, wanted, draw.likely(0.5)], 0)


def _recover(draw: Draw) -> Call | None:
    found = [oid for oid in draw.ids("vm") if _is_pinned(draw, oid)]
    return ("one.vm.recover", [draw.one(found), draw.one((0, 1, 2, 2, 3, 4))], 0) if found else None


def _host(draw: Draw) -> Call:
    host = draw.one(PINNED_HOSTS)
    return any_of(
        draw,
        ("one.host.update", [host, draw.one(_SETTINGS), 1], 0),
        ("one.host.update", [host, draw.one(_SETTINGS), 1], 0),
        ("one.host.status", [host, 0], 0),
    )


DEEDS: tuple[tuple[Deed, int], ...] = (
    (_allocate, 10),
    (_deploy, 6),
    (_migrate, 5),
    (_act, 4),
    (_resize, 1),
    (_recover, 1),
    (_host, 1),
)
