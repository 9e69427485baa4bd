"""What happens without anybody asking for it."""

import base64
from collections.abc import Callable

from merope.drivers.hypervisor.base import DomainState
from merope.drivers.simulated.parts import topology
from merope.simulation.draws import Draw
from merope.simulation.simulation import Simulation

Happening = Callable[[Simulation, Draw], str]

#: The first marketplace of a new cloud, which is read and not written.
PUBLIC_MARKET = 0


def _guest(simulation: Simulation, draw: Draw) -> str:
    running = sorted(
        domain.vm_id
        for _, domain in simulation.world.domains()
        if domain.vm_id is not None and domain.state is DomainState.RUNNING
    )
    if not running:
        return ""
    vm, what = draw.one(running), draw.one(("crashes", "powers off", "writes", "is deaf"))
    if what == "crashes":
        simulation.world.guest_crashes(vm)
    elif what == "powers off":
        simulation.world.guest_powers_off(vm)
    elif what == "writes":
        simulation.world.guest_writes(vm)
    else:
        simulation.world.deaf.add(vm)
    return f"the guest of VM {vm} {what}"


def _host_fails(simulation: Simulation, draw: Draw) -> str:
    up = sorted(name for name, host in simulation.world.hosts.items() if host.up)
    if not up:
        return ""
    name = draw.one(up)
    simulation.world.host_fails(name)
    return f"host {name} fails"


def _host_returns(simulation: Simulation, draw: Draw) -> str:
    down = sorted(name for name, host in simulation.world.hosts.items() if not host.up)
    if not down:
        return ""
    name = draw.one(down)
    simulation.world.host_returns(name)
    return f"host {name} returns"


def _wild(simulation: Simulation, draw: Draw) -> str:
    up = sorted(name for name, host in simulation.world.hosts.items() if host.up)
    if not up:
        return ""
    simulation.world.start_wild(draw.one(up), "stranger")
    return "somebody starts a domain of his own"


def _write_fails(simulation: Simulation, draw: Draw) -> str:
    simulation.writes_to_fail = draw.one((1, 1, 2))
    return f"the next {simulation.writes_to_fail} writes fail"


def _slow_disk(simulation: Simulation, draw: Draw) -> str:
    simulation.weather.commit_seconds = draw.one((0.001, 0.05, 2.0))
    return f"a commit takes {simulation.weather.commit_seconds} s"


def _crash(simulation: Simulation, draw: Draw) -> str:  # noqa: ARG001 - a deed like the others
    simulation.crash()
    return ""


def _monitoring(simulation: Simulation, draw: Draw) -> str:  # noqa: ARG001 - as above
    simulation.process.poller.start()
    return "every host and datastore is looked at"


def _agents(simulation: Simulation, draw: Draw) -> str:
    if draw.likely(0.2):
        simulation.process.receiver.watch()
        return "the receiver looks who is silent"
    simulation.agents.look()
    return "every agent looks at its host"


def _clock_jumps(simulation: Simulation, draw: Draw) -> str:
    seconds = draw.one((10.0, 600.0, 4000.0))
    simulation.loop.jump(seconds)
    return f"the clock jumps by {seconds} s"


def _apps_appear(simulation: Simulation, draw: Draw) -> str:
    """The public marketplace has other apps than before, as its next reading will tell."""
    apps = [
        f"NAME=public{number}\nSIZE=10\nSOURCE=http://x/{number}" for number in range(draw.one((0, 1, 2, 3)))
    ]
    offered = [base64.b64encode(app.encode()).decode() for app in apps]
    for market in draw.ids("market"):
        simulation.drivers.market_place.offered[market] = offered if market == PUBLIC_MARKET else []
    return f"the public marketplace offers {len(apps)} apps"


def _hardware(simulation: Simulation, draw: Draw) -> str:
    """A device is taken out or put in, a core is switched off or on."""
    known = sorted(name for name, host in simulation.world.hosts.items() if host.topology)
    if not known:
        return ""
    host = simulation.world.hosts[draw.one(known)]
    whole = topology(host.total_cpu, host.total_memory)
    gone = draw.one((None, None, *(part for part in whole if part[0] in ("CORE", "PCI"))))
    host.topology = tuple(part for part in whole if part is not gone)
    return f"host {host.name} has {'all its parts' if gone is None else f'no {gone}'}"


HAPPENINGS: tuple[tuple[Happening, int], ...] = (
    (_guest, 6),
    (_host_fails, 2),
    (_host_returns, 3),
    (_wild, 1),
    (_write_fails, 4),
    (_slow_disk, 2),
    (_crash, 6),
    (_monitoring, 4),
    (_agents, 8),
    (_clock_jumps, 2),
    (_apps_appear, 1),
    (_hardware, 1),
)
