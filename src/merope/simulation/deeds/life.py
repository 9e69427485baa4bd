"""What people do with whole VMs."""

from merope.core import lifecycle
from merope.core.vm import ACTIONS
from merope.model.phase import Phase
from merope.simulation.deeds.call import Call, Deed
from merope.simulation.draws import Draw

_UP = (Phase.RUNNING, Phase.RUNNING, Phase.UNKNOWN)
#: What people do with a VM in the phases that it rests in.
_SENSIBLE: tuple[tuple[tuple[Phase, ...], tuple[str, ...]], ...] = (
    (
        (Phase.RUNNING,),
        (
            "suspend",
            "stop",
            "poweroff",
            "poweroff-hard",
            "undeploy",
            "undeploy-hard",
            "terminate",
            "terminate-hard",
            "reboot",
            "reboot-hard",
            "resched",
        ),
    ),
    ((Phase.UNKNOWN,), ("resume", "poweroff-hard", "terminate-hard", "undeploy-hard", "terminate")),
    ((Phase.SUSPENDED,), ("resume", "resume", "stop", "terminate")),
    ((Phase.POWEROFF,), ("resume", "resume", "undeploy", "terminate", "undeploy-hard")),
    ((Phase.STOPPED, Phase.UNDEPLOYED), ("resume", "resume", "terminate")),
    ((Phase.PENDING,), ("hold", "terminate")),
    ((Phase.HOLD,), ("release", "release", "terminate")),
    (lifecycle.FAILURES, ("terminate", "terminate-hard")),
)


def _allocate(draw: Draw) -> Call:
    return "one.vm.allocate", [draw.vm_template(), draw.likely(0.15)], draw.user()


def _instantiate(draw: Draw) -> Call:
    extra = draw.one(("", "", 'DISK=[TYPE="fs",SIZE=10]', "MEMORY=256"))
    arguments = [draw.oid("template"), "", draw.likely(0.2), extra, draw.likely(0.1)]
    return "one.template.instantiate", arguments, draw.user()


def _deploy(draw: Draw) -> Call | None:
    waiting = (Phase.PENDING, Phase.HOLD, Phase.STOPPED, Phase.UNDEPLOYED)
    vm = draw.vm_in(*waiting) if draw.likely(0.9) else draw.oid("vm")
    if vm is None:
        return None
    store = draw.one((-1, -1, 0, 100, 1))
    extra = draw.one(("", "", f"NIC=[NIC_ID=0,NETWORK_MODE=auto,NETWORK_ID={draw.oid('vn')}]"))
    return "one.vm.deploy", [vm, draw.oid("host"), draw.likely(0.5), store, extra], draw.user()


def _act(draw: Draw) -> Call | None:
    phases, actions = draw.one(_SENSIBLE)
    vm = draw.vm_in(*phases)
    if vm is None:
        phases, actions = _SENSIBLE[0]
        vm = draw.vm_in(*phases)
    return None if vm is None else ("one.vm.action", [draw.one(actions), vm], draw.user())


def _act_blindly(draw: Draw) -> Call:
    return "one.vm.action", [draw.one(ACTIONS), draw.oid("vm")], draw.user()


def _migrate(draw: Draw) -> Call | None:
    vm = draw.vm_in(*_UP, Phase.POWEROFF, Phase.SUSPENDED) if draw.likely(0.95) else draw.oid("vm")
    if vm is None:
        return None
    store = draw.one((-1, -1, -1, 0, 100))
    arguments = [vm, draw.oid("host"), draw.likely(0.4), draw.likely(0.5), store, draw.one((0, 0, 1, 2))]
    return "one.vm.migrate", arguments, 0


def _recover(draw: Draw) -> Call | None:
    vm = draw.vm_in(*lifecycle.FAILURES, *lifecycle.WAITING) if draw.likely(0.8) else draw.oid("vm")
    return None if vm is None else ("one.vm.recover", [vm, draw.one((0, 1, 2, 2, 2, 3, 3, 4, 4, 5))], 0)


def _resize(draw: Draw) -> Call:
    text = draw.one(("CPU=0.2", "MEMORY=256", "CPU=3\nMEMORY=1024\nVCPU=2", "CPU=-1", "MEMORY=99999999"))
    return "one.vm.resize", [draw.oid("vm"), text, draw.likely(0.7)], draw.user()


def _recover_anything(draw: Draw) -> Call:
    """Every way of recovering, whatever state the VM is in."""
    return "one.vm.recover", [draw.oid("vm"), draw.one((0, 1, 2, 3, 4, 5))], 0


def _for_another(draw: Draw) -> Call:
    """Made by one and owned by another (AS_UID, AS_GID)."""
    whose = f"\nAS_UID={draw.oid('user')}"
    if draw.likely(0.5):
        whose += f"\nAS_GID={draw.oid('group')}"
    if draw.likely(0.5):
        return "one.vm.allocate", [draw.vm_template() + whose, draw.likely(0.15)], draw.user()
    template = [draw.oid("template"), "theirs", False, whose.strip(), draw.likely(0.2)]
    return "one.template.instantiate", template, draw.user()


DEEDS: tuple[tuple[Deed, int], ...] = (
    (_allocate, 16),
    (_instantiate, 5),
    (_for_another, 2),
    (_deploy, 7),
    (_act, 26),
    (_act_blindly, 3),
    (_migrate, 9),
    (_recover, 7),
    (_recover_anything, 2),
    (_resize, 3),
)
