"""Networks, their ranges and reservations, what manages their addresses, security groups, routers."""

from merope.model.template import Vector
from merope.model.vrouter import VirtualRouter
from merope.simulation.deeds.call import Call, Deed, any_of
from merope.simulation.draws import Draw
from merope.simulation.genesis import ROUTER_TEMPLATE


def _network(draw: Draw) -> Call:
    oid, user = draw.oid("vn"), draw.user()
    lease = f'LEASES=[IP="10.0.0.{draw.chance.randrange(1, 8)}"]'
    return any_of(
        draw,
        ("one.vn.hold", [oid, lease], user),
        ("one.vn.release", [oid, lease], user),
        ("one.vn.reserve", [oid, f'NAME="part{draw.chance.randrange(3)}"\nSIZE=1'], user),
        ("one.vn.reserve", [0, "NETWORK_ID=2\nSIZE=1"], user),
        ("one.vn.add_ar", [oid, 'AR=[TYPE="IP4",IP="10.1.0.1",SIZE=3]'], 0),
        ("one.vn.rm_ar", [oid, draw.one((0, 1)), False], 0),
        ("one.vn.update_ar", [oid, f"AR=[AR_ID=0,SIZE={draw.one((2, 4, 8))}]"], 0),
        ("one.vn.delete", [oid], user),
        (
            "one.vn.allocate",
            ['NAME="late"\nVN_MAD="dummy"\nBRIDGE="b"\nAR=[TYPE="IP4",IP="10.2.0.1",SIZE=2]', -1],
            user,
        ),
    )


def _groups(draw: Draw) -> Call:
    oid, user = draw.oid("secgroup"), draw.user()
    return any_of(
        draw,
        ("one.secgroup.update", [oid, 'RULE=[PROTOCOL="TCP",RANGE="22",RULE_TYPE="INBOUND"]', 0], user),
        ("one.secgroup.commit", [oid, draw.likely(0.5)], user),
        ("one.secgroup.delete", [oid], user),
        ("one.secgroup.clone", [oid, f"group{draw.chance.randrange(3)}"], user),
    )


def _managed(draw: Draw) -> Call:
    """Ranges whose addresses somebody else manages."""
    oid, user = draw.oid("vn"), draw.user()
    lease = f'LEASES=[IP="10.9.0.{draw.chance.randrange(1, 7)}"]'
    number = draw.chance.randrange(3)
    first = f"10.{draw.chance.randrange(100, 250)}.{draw.chance.randrange(250)}.1"
    managed = [other for other in draw.ids("vn") if _is_managed(draw, other)] or [oid]
    network = draw.one(managed)
    return any_of(
        draw,
        ("one.vn.hold", [network, lease], user),
        ("one.vn.release", [network, lease], user),
        ("one.vn.reserve", [network, f"NAME=lent{number}\nSIZE={draw.one((1, 2))}"], user),
        ("one.vn.add_ar", [oid, f"AR=[IPAM_MAD=dummy,TYPE=IP4,IP={first},SIZE=3]"], 0),
        ("one.vn.add_ar", [oid, "AR=[IPAM_MAD=nobody,TYPE=IP4,IP=10.8.9.1,SIZE=3]"], 0),
        ("one.vn.rm_ar", [network, draw.one((0, 1, 2)), False], 0),
        ("one.vn.free_ar", [network, draw.one((0, 1, 2)), False], user),
        ("one.vm.allocate", [f"CPU=0.1\nMEMORY=64\nNIC=[NETWORK_ID={network}]", draw.likely(0.3)], user),
        ("one.vm.allocate", [f"CPU=0.1\nMEMORY=64\nNIC=[NETWORK_ID={network}]", False], 0),
    )


def _is_managed(draw: Draw, oid: int) -> bool:
    return "IPAM_MAD" in draw.state.pools["network_pool"].entries[oid].body


def _routers(draw: Draw) -> Call:
    oid, user = draw.oid("vrouter"), draw.user()
    number, network = draw.chance.randrange(3), draw.oid("vn")
    floating = draw.one(("", ",FLOATING_IP=YES", ",FLOATING_IP=YES,FLOATING_ONLY=YES", ",IP=10.0.0.3"))
    nic = f"NIC=[NETWORK_ID={network}{floating}]"
    group = draw.one(("", f"\nKEEPALIVED_ID={draw.one((1, 7, 300))}", "\nKEEPALIVED_PASSWORD=p"))
    used, extra = draw.one((ROUTER_TEMPLATE, ROUTER_TEMPLATE, -1, 0)), draw.one(("", "", "MEMORY=96"))
    instances = [oid, draw.one((0, 1, 1, 2)), used, draw.one(("", "vr-%i")), draw.likely(0.2), extra]
    return any_of(
        draw,
        ("one.vrouter.allocate", [f"NAME=router{number}{group}\n{nic}"], user),
        ("one.vrouter.allocate", [f"NAME=router{number}\n{nic}\nNIC=[NETWORK_ID=0,FLOATING_IP=YES]"], 0),
        ("one.vrouter.instantiate", instances, user),
        ("one.vrouter.instantiate", instances, 0),
        ("one.vrouter.attachnic", [oid, nic], user),
        ("one.vrouter.attachnic", [oid, nic], 0),
        ("one.vrouter.detachnic", [oid, _router_nic(draw, oid)], 0),
        ("one.vrouter.detachnic", [oid, _router_nic(draw, oid)], user),
        ("one.vrouter.chown", [oid, draw.one((-1, 0, 2, 3)), draw.one((-1, 0, 100))], 0),
        ("one.vrouter.delete", [oid], user),
    )


def _router_nic(draw: Draw, oid: int) -> int:
    """A NIC_ID of the router, mostly."""
    router = draw.state.pools["vrouter_pool"].parsed(oid) if oid in draw.ids("vrouter") else None
    nics: list[Vector] = router.template.vectors("NIC") if isinstance(router, VirtualRouter) else []
    return int(draw.one(nics)["NIC_ID"]) if nics else draw.one((0, 1, 9))


DEEDS: tuple[tuple[Deed, int], ...] = ((_network, 5), (_managed, 4), (_groups, 3), (_routers, 7))
