"""Services of OneFlow: made, scaled, recovered and ended, with their VMs and templates touched by others."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from merope.model.phase import Phase
from merope.model.vm import VM
from merope.simulation.deeds.call import Call, Deed, any_of
from merope.simulation.deeds.world import Happening
from merope.simulation.draws import Draw
from merope.simulation.simulation import Simulation

if TYPE_CHECKING:
    from merope.flow.keeper import Keeper
    from merope.flow.service import Service
    from merope.simulation.oneflow import Blow, FlowLife

_OWNERS = ("oneadmin", "oneadmin", "ann", "bob", "cid")
_NAMES = ("a", "b", "c")
#: VMs of services are small, so that there is room for many.
LIGHT = "light"
#: Who is scheduled to be so many, so many seconds from now.
_LATER = (300, 2000)


def _of_services(draw: Draw) -> list[VM]:
    pool = draw.state.pools["vm_pool"]
    vms = (pool.parsed(oid) for oid in sorted(pool.entries))
    return [vm for vm in vms if isinstance(vm, VM) and vm.user_template.get("SERVICE_ID")]


def _touch_vm(draw: Draw) -> Call | None:
    """Somebody does to a VM of a service what is OneFlow's to do."""
    vms = _of_services(draw)
    if not vms:
        return None
    vm = draw.one(vms)
    if vm.phase in (Phase.POWEROFF, Phase.SUSPENDED, Phase.UNKNOWN) and draw.likely(0.5):
        return "one.vm.action", ["resume", vm.id], 0
    action = draw.one(
        ("terminate", "terminate-hard", "poweroff-hard", "suspend", "hold", "release", "reboot")
    )
    return any_of(
        draw,
        ("one.vm.action", [action, vm.id], 0),
        ("one.vm.action", [action, vm.id], 0),
        ("one.vm.recover", [vm.id, draw.one((2, 3, 4))], 0),
        ("one.vm.chown", [vm.id, draw.one((2, 3)), -1], 0),
        ("one.vm.lock", [vm.id, 4, False], 0),
    )


def _guest_tells(draw: Draw) -> Call | None:
    vms = _of_services(draw)
    told = draw.one(("READY=YES", "READY=YES", "LOAD=90", "LOAD=5", "LOAD=50"))
    return ("one.vm.update", [draw.one(vms).id, told, 1], 0) if vms else None


def _template(draw: Draw) -> Call:
    """Templates that services are made of come and go; a new one is the owner's alone."""
    return any_of(
        draw,
        ("one.template.clone", [_light(draw), f"{LIGHT} {draw.chance.randrange(3)}", False], 0),
        ("one.template.chmod", [_light(draw), 1, 1, 0, 1, 0, 0, 1, 0, 0, False], 0),
        ("one.template.delete", [_light(draw), False], 0),
    )


DEEDS: tuple[tuple[Deed, int], ...] = ((_touch_vm, 4), (_guest_tells, 5), (_template, 1))
#: What services are made of, before a schedule begins.
PREPARATIONS: tuple[tuple[str, list[Any]], ...] = (
    ("one.template.allocate", [f"NAME={LIGHT}\nCPU=0.1\nMEMORY=16\nDISK=[TYPE=fs,SIZE=1]"]),
    ("one.template.chmod", [3, 1, 1, 0, 1, 0, 0, 1, 0, 0, False]),
    ("one.vntemplate.chmod", [0, 1, 1, 0, 1, 0, 0, 1, 0, 0]),
    ("one.user.quota", [2, "VM=[VMS=12,CPU=6,MEMORY=4096]"]),
    ("one.user.quota", [3, "VM=[RUNNING_VMS=8,VMS=-2]"]),
    ("one.group.quota", [100, "VM=[VMS=20]"]),
)


# What OneFlow is asked for


def _new(simulation: Simulation, draw: Draw) -> str:
    flow = simulation.oneflow
    if flow is None or flow.life is None:
        return ""
    from merope.flow.beginning import begun

    owner, name = draw.one(_OWNERS), f"service{draw.chance.randrange(100)}"
    body = json.dumps(begun({**_body(draw), "name": name}, "terminate", simulation.loop.now()))
    flow.life.do(lambda life: life.instantiate(owner, body, name))
    return f"{owner} makes service {name}"


def _body(draw: Draw) -> dict[str, Any]:
    names = _NAMES[: draw.one((1, 2, 2, 3))]
    body: dict[str, Any] = {
        "deployment": draw.one(("none", "straight", "straight")),
        "shutdown_action": draw.one(("terminate", "terminate-hard")),
        "ready_status_gate": draw.likely(0.2),
        "roles": [_role(draw, name, names[:place]) for place, name in enumerate(names)],
    }
    values: list[dict[str, Any]] = []
    if draw.likely(0.4):
        values.append(
            {"Own": {"template_id": str(draw.oid("vntemplate")), "extra": "AR=[TYPE=ETHER,SIZE=9]"}}
        )
    if draw.likely(0.2):
        values.append({"Part": {"reserve_from": "0", "extra": "SIZE=2"}})
    if values:
        body["networks_values"] = values
    return body


def _light(draw: Draw) -> int:
    """A template of those that services are made of; they come and go."""
    pool = draw.state.pools["template_pool"]
    found = [oid for oid in draw.ids("template") if pool.entries[oid].name.startswith(LIGHT)]
    return draw.one(found) if found else 0


def _role(draw: Draw, name: str, before: tuple[str, ...]) -> dict[str, Any]:
    role: dict[str, Any] = {
        "name": name,
        "cardinality": draw.one((0, 1, 1, 2, 3)),
        "vm_template": draw.oid("template") if draw.likely(0.1) else _light(draw),
        "vm_template_contents": draw.one(
            ("", "", "", "DISK=[TYPE=swap,SIZE=1]", 'NOTE="$Own"', "NIC=[NETWORK_ID=1]")
        ),
        "parents": [parent for parent in before if draw.likely(0.5)],
        "max_vms": 4,
    }
    if draw.likely(0.2):
        role["min_vms"] = 1
    if draw.likely(0.3):
        up = {"expression": "LOAD > 60", "type": "CHANGE", "adjust": 1, "period": 20, "period_number": 2}
        down = {"expression": "LOAD < 10", "type": "PERCENTAGE_CHANGE", "adjust": -50, "min_adjust_step": 1}
        role["elasticity_policies"] = [up, down]
    if draw.likely(0.2):
        start = str(draw.now + draw.one(_LATER))
        role["scheduled_policies"] = [{"start_time": start, "type": "CARDINALITY", "adjust": 2}]
    return role


def _keeper(life: "FlowLife", oid: int) -> "Keeper":
    return life.manager.keeper(oid)


def _asked(what: Callable[["FlowLife", int, float], Awaitable[None]], told: str) -> Happening:
    """Something that is asked of one of the services."""

    def happening(simulation: Simulation, draw: Draw) -> str:
        flow = simulation.oneflow
        if flow is None or flow.life is None or not flow.life.manager.keepers:
            return ""
        oid = draw.one(sorted(flow.life.manager.keepers))
        chance = draw.chance.random()
        flow.life.do(lambda life: _and_wake(life, oid, what, chance))
        return f"service {oid} is to {told}"

    return happening


async def _and_wake(
    life: "FlowLife", oid: int, what: "Callable[[FlowLife, int, float], Awaitable[None]]", chance: float
) -> None:
    await what(life, oid, chance)
    life.manager.wake(oid)


async def _scale(life: "FlowLife", oid: int, chance: float) -> None:
    from merope.flow import requests

    def change(service: "Service") -> None:
        role = service.roles[int(chance * len(service.roles))]
        requests.scale(service, role.name, int(chance * 97) % 5, life.manager.now(), force=chance < 0.5)

    await _keeper(life, oid).ask(change)


async def _recover(life: "FlowLife", oid: int, _: float) -> None:
    await _keeper(life, oid).recover()


async def _undeploy(life: "FlowLife", oid: int, chance: float) -> None:
    from merope.flow import requests

    end = requests.purge if chance < 0.3 else requests.undeploy
    await _keeper(life, oid).ask(lambda service: end(service, life.manager.now()))


# What becomes of processes


def _blow(draw: Draw) -> "Blow":
    from merope.simulation.oneflow import MOMENTS, Blow

    return Blow(draw.chance.randrange(8), draw.one(MOMENTS))


def _flow_is_killed(simulation: Simulation, draw: Draw) -> str:
    flow = simulation.oneflow
    if flow is None:
        return ""
    blow = flow.own_blow = _blow(draw)
    return f"OneFlow is to be killed {blow.calls} calls from now ({blow.moment})"


def _core_is_killed(simulation: Simulation, draw: Draw) -> str:
    flow = simulation.oneflow
    if flow is None:
        return ""
    blow = flow.core_blow = _blow(draw)
    return f"the core is to be killed {blow.calls} calls of OneFlow from now ({blow.moment})"


HAPPENINGS: tuple[tuple[Happening, int], ...] = (
    (_new, 12),
    (_asked(_scale, "be scaled"), 12),
    (_asked(_recover, "recover"), 5),
    (_asked(_undeploy, "end"), 2),
    (_flow_is_killed, 6),
    (_core_is_killed, 4),
)
