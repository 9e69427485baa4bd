"""Hosts, clusters, datastores, zones, and what is calculated and read."""

from merope.model.states import HostState
from merope.simulation.deeds.call import Call, Deed, any_of
from merope.simulation.draws import Draw


def _host(draw: Draw) -> Call:
    oid = draw.oid("host")
    state = draw.state.pools["host_pool"].entries.get(oid)
    if state is not None and state.state in (HostState.OFFLINE, HostState.DISABLED):
        return "one.host.status", [oid, 0], 0
    return any_of(
        draw,
        ("one.host.status", [oid, draw.one((0, 1, 2))], 0),
        ("one.host.status", [oid, draw.one((0, 1, 2))], 0),
        ("one.host.delete", [oid], 0),
        (
            "one.host.allocate",
            [f"spare{draw.chance.randrange(3)}", "dummy", "dummy", draw.one((-1, 100))],
            0,
        ),
        ("one.cluster.addhost", [draw.one((0, 100)), oid], 0),
    )


def _store(draw: Draw) -> Call:
    oid = draw.oid("datastore")
    return any_of(
        draw,
        ("one.datastore.enable", [oid, draw.likely(0.7)], 0),
        ("one.datastore.delete", [draw.one((oid, 102, 103))], 0),
        (
            "one.datastore.allocate",
            [f'NAME="ds{draw.chance.randrange(2)}"\nTYPE="SYSTEM_DS"\nTM_MAD="dummy"', -1],
            0,
        ),
        ("one.cluster.adddatastore", [100, oid], 0),
    )


def _zone(draw: Draw) -> Call:
    server = f"SERVER=[NAME=s{draw.chance.randrange(2)},ENDPOINT=http://s/]"
    return any_of(
        draw,
        ("one.zone.allocate", [f"NAME=zone{draw.chance.randrange(2)}\nENDPOINT=http://z/"], 0),
        ("one.zone.delete", [draw.oid("zone")], 0),
        ("one.zone.addserver", [draw.oid("zone"), server], 0),
        ("one.zone.delserver", [draw.oid("zone"), draw.one((0, 1))], 0),
        ("one.zone.update", [draw.oid("zone"), "NOTE=z", 1], 0),
    )


def _calculate(draw: Draw) -> Call:
    span = draw.one(([-1, -1, -1, -1], [9, 2020, 9, 2020], [13, 2020, -1, -1], [8, 2020, -1, -1]))
    return "one.vmpool.calculateshowback", list(span), 0


DEEDS: tuple[tuple[Deed, int], ...] = ((_host, 4), (_store, 1), (_zone, 1), (_calculate, 1))
