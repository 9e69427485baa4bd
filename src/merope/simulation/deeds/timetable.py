"""Scheduled actions: added, changed, taken away. Who carries them out is the process's timetable."""

from merope.model.template import Template, Vector
from merope.model.vm import VM
from merope.simulation.deeds.call import Call, Deed
from merope.simulation.draws import Draw

_ACTIONS = (
    "poweroff",
    "poweroff-hard",
    "reboot",
    "reboot-hard",
    "suspend",
    "resume",
    "resume",
    "hold",
    "release",
    "stop",
    "undeploy",
    "terminate",
    "snapshot-create",
    "disk-snapshot-create",
    "nonsense",
)
_ARGS = {"snapshot-create": "then", "disk-snapshot-create": "0, then"}
#: Seconds from now, from before it to when nobody looks any more.
_TIMES = (-100, 0, 5, 30, 60, 300, 2000, 100_000)


def _action(draw: Draw, vm: VM, now: int) -> Vector:
    """A new action. NOTE tells it from all others: the simulation counts how often each is done."""
    what = draw.one(_ACTIONS)
    later = draw.one(_TIMES)
    relative = draw.likely(0.2)
    action = Vector({"ACTION": what, "NOTE": f"{draw.chance.getrandbits(60):x}"})
    action["TIME"] = f"+{max(now + later - vm.stime, 1)}" if relative else str(now + later)
    if what in _ARGS:
        action["ARGS"] = _ARGS[what]
    if draw.likely(0.3):
        action.update({"REPEAT": "3", "DAYS": draw.one(("1", "2", "30"))})
        end = draw.one(({}, {"END_TYPE": "0"}, {"END_TYPE": "1", "END_VALUE": "2"}))
        action.update(end)
    return action


def _schedule(draw: Draw) -> Call | None:
    """Written as the command line writes it: all actions of the VM, with one more, one less, one changed."""
    vms = draw.ids("vm")
    vm = draw.state.pools["vm_pool"].parsed(draw.one(vms)) if vms else None
    if not isinstance(vm, VM):
        return None
    actions = [Vector(action) for action in vm.user_template.vectors("SCHED_ACTION")]
    if actions and draw.likely(0.15):
        actions.remove(draw.one(actions))
    elif actions and draw.likely(0.2):
        changed = draw.one(actions)
        number = changed.get("ID", "0")
        changed.clear()
        changed.update(_action(draw, vm, draw.now) | {"ID": number})
    else:
        actions.append(_action(draw, vm, draw.now))
    written = Template([("SCHED_ACTION", action) for action in actions])
    return "one.vm.update", [vm.id, written.to_text(), 1], draw.user()


def _scheduled_from_the_start(draw: Draw) -> Call:
    actions = [
        f'SCHED_ACTION=[ACTION={draw.one(_ACTIONS)},TIME="+{draw.one((1, 60, 400))}",'
        f"NOTE={draw.chance.getrandbits(60):x}]"
        for _ in range(draw.one((1, 1, 2)))
    ]
    return "one.vm.allocate", ["\n".join(["CPU=0.1\nMEMORY=64", *actions]), False], draw.user()


DEEDS: tuple[tuple[Deed, int], ...] = ((_schedule, 8), (_scheduled_from_the_start, 2))
