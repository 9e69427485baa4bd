"""Users, groups, quotas, access rules, and what belongs to whom."""

from merope.simulation.deeds.call import Call, Deed, any_of
from merope.simulation.draws import Draw
from merope.simulation.genesis import rule


def _chown(draw: Draw) -> Call:
    api = draw.one(("vm", "vm", "image", "vn", "template"))
    return f"one.{api}.chown", [draw.oid(api), draw.one((-1, 0, 2, 3, 4)), draw.one((-1, 0, 1, 100, 101))], 0


def _people(draw: Draw) -> Call:
    user, group = draw.oid("user"), draw.oid("group")
    limits = (
        "VM=[VMS=3]",
        "VM=[RUNNING_VMS=1,CPU=4]",
        "NETWORK=[ID=0,LEASES=1]",
        "IMAGE=[ID=1,RVMS=1]",
        "VM=[VMS=-1]",
    )
    return any_of(
        draw,
        ("one.user.quota", [user, draw.one(limits)], 0),
        ("one.group.quota", [group, draw.one(limits)], 0),
        ("one.userquota.update", [draw.one(limits[:4])], 0),
        (
            "one.user.allocate",
            [f"user{draw.chance.randrange(4)}", "secret", "core", [group]],
            draw.user(),
        ),
        ("one.user.delete", [draw.one((5, 6, 7, user if user > 4 else 9))], 0),
        ("one.user.chgrp", [user if user else 2, group], 0),
        ("one.user.addgroup", [user, group], 0),
        ("one.user.delgroup", [user, group], 0),
        ("one.group.allocate", [f"group{draw.chance.randrange(3)}"], 0),
        ("one.group.delete", [draw.one((group, 102, 103))], 0),
        ("one.acl.delrule", [draw.chance.randrange(20)], 0),
        rule(draw.one(("@100 NET/* USE *", "#3 HOST/* MANAGE *", "* DATASTORE/* USE *"))),
    )


def _shares(draw: Draw) -> Call:
    """Who leads a group, and what a group is lent."""
    vdc, group, zone = draw.oid("vdc"), draw.oid("group"), draw.one((0, 0, 0, -10, 3))
    what = draw.one(("cluster", "host", "datastore", "vnet"))
    lent = draw.oid("vn" if what == "vnet" else what) if draw.likely(0.9) else -10
    verb = draw.one(("add", "add", "del"))
    return any_of(
        draw,
        (f"one.vdc.{verb}{what}", [vdc, zone, lent], 0),
        (f"one.vdc.{verb}{what}", [vdc, zone, lent], 0),
        (f"one.vdc.{verb}group", [vdc, group], 0),
        (f"one.group.{verb}admin", [group, draw.oid("user")], 0),
        ("one.vdc.allocate", [f"NAME=vdc{draw.chance.randrange(2)}"], 0),
        ("one.vdc.delete", [vdc], 0),
    )


def _quotas(draw: Draw) -> Call:
    """Limits on everything that is counted, below what is in use too."""
    image, network, store = draw.oid("image"), draw.oid("vn"), draw.oid("datastore")
    limit = draw.one((-2, -1, 0, 1, 3, 100))
    text = draw.one(
        (
            f"VM=[VMS={limit},RUNNING_MEMORY={limit},SYSTEM_DISK_SIZE={limit}]",
            f"IMAGE=[ID={image},RVMS={limit}]",
            f"NETWORK=[ID={network},LEASES={limit}]",
            f"DATASTORE=[ID={store},IMAGES={limit},SIZE={limit}]",
            f"VM=[CPU={limit}]\nNETWORK=[ID={network},LEASES={limit}]",
        )
    )
    scope = draw.one(("user", "user", "group"))
    default = draw.likely(0.15)
    return (
        (f"one.{scope}quota.update", [text], 0)
        if default
        else (f"one.{scope}.quota", [draw.oid(scope), text], 0)
    )


DEEDS: tuple[tuple[Deed, int], ...] = ((_chown, 4), (_people, 4), (_shares, 1), (_quotas, 2))
