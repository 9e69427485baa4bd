"""Hosts that fail, are cut off, come back, and are recovered from."""

from merope.simulation.deeds.call import Call, Deed
from merope.simulation.deeds.world import Happening
from merope.simulation.draws import Draw
from merope.simulation.simulation import Simulation

_LOOKS = 3
"""So many in a row that fail, and the host is given up."""


def _recover(draw: Draw) -> Call:
    """Nobody vouches for a host that may be on: that is `_confirm`, who looks."""
    what = draw.one(("migrate", "migrate", "migrate", "recreate", "delete", "proceed", "cancel"))
    failed = sorted(oid for oid, failure in draw.state.host_failures.items() if failure.is_down)
    host = draw.one(failed) if failed and draw.likely(0.9) else draw.oid("host")
    return "one.host.recover", [host, what, draw.likely(0.3), draw.one((0, 0, 1, 5)), True], 0


def _enable(draw: Draw) -> Call:
    return "one.host.status", [draw.oid("host"), draw.one((0, 0, 0, 1, 2))], 0


DEEDS: tuple[tuple[Deed, int], ...] = ((_recover, 6), (_enable, 1))


def _reachable(simulation: Simulation) -> list[str]:
    return sorted(name for name, host in simulation.world.hosts.items() if host.up)


def _is_cut_off(simulation: Simulation, draw: Draw) -> str:
    up = _reachable(simulation)
    if not up:
        return ""
    name = draw.one(up)
    simulation.world.host_is_cut_off(name)
    return f"host {name} is cut off"


def _switch_fails(simulation: Simulation, draw: Draw) -> str:
    cut = [name for name in _reachable(simulation) if draw.likely(0.6)]
    for name in cut:
        simulation.world.host_is_cut_off(name)
    return f"a switch fails: hosts {cut} are cut off"


def _all_return(simulation: Simulation, draw: Draw) -> str:  # noqa: ARG001 - a deed like the others
    for name in sorted(simulation.world.hosts):
        simulation.world.host_returns(name)
    return "every host is back"


def _is_noticed(simulation: Simulation, draw: Draw) -> str:  # noqa: ARG001 - as above
    """Monitoring has the time to find out."""
    for _ in range(_LOOKS):
        simulation.process.poller.start()
        _wait(simulation, 70.0)
    return "time for monitoring to notice"


def _time_passes(simulation: Simulation, draw: Draw) -> str:
    seconds = draw.one((40.0, 130.0, 700.0))
    _wait(simulation, seconds)
    return f"{seconds} s pass"


def _drill(simulation: Simulation, draw: Draw) -> str:
    """One host alone, with a VM on it, is cut off or fails for so long that something is done about it."""
    for name in sorted(simulation.world.hosts):
        simulation.world.host_returns(name)
    simulation.process.poller.start()
    _wait(simulation, 70.0)
    busy = sorted({host.name for host, domain in simulation.world.domains() if domain.vm_id is not None})
    if not busy:
        return ""
    name, cut = draw.one(busy), draw.likely(0.7)
    if cut:
        simulation.world.host_is_cut_off(name)
    else:
        simulation.world.host_fails(name)
    _is_noticed(simulation, draw)
    _wait(simulation, draw.one((130.0, 400.0)))
    return f"host {name} {'is cut off' if cut else 'has failed'}, and time for something to be done about it"


def _controller(simulation: Simulation, draw: Draw) -> str:
    """A controller is silent, or speaks again."""
    name = draw.one(sorted(simulation.world.hosts))
    silent = simulation.world.silent
    silent.symmetric_difference_update({name})
    return f"the controller of host {name} {'is silent' if name in silent else 'speaks again'}"


def _wait(simulation: Simulation, seconds: float) -> None:
    end = simulation.loop.clock + seconds
    while simulation.step(end):
        simulation.check()


def _confirm(simulation: Simulation, draw: Draw) -> str:
    """An administrator goes and looks: what is said to be off is off."""
    failures = simulation.process.state.host_failures
    off = [
        oid
        for oid, failure in sorted(failures.items())
        if failure.is_down and not simulation.world.hosts[_name(simulation, oid)].powered
    ]
    if not off:
        return ""
    host = draw.one(off)
    simulation.request("one.host.recover", [host, "confirm", False, 0, True])
    return f"somebody has looked: host {host} is off"


def _name(simulation: Simulation, host_id: int) -> str:
    return simulation.process.state.pools["host_pool"].entries[host_id].name


HAPPENINGS: tuple[tuple[Happening, int], ...] = (
    (_is_cut_off, 3),
    (_switch_fails, 1),
    (_all_return, 2),
    (_is_noticed, 5),
    (_time_passes, 3),
    (_controller, 1),
    (_drill, 4),
    (_confirm, 1),
)
