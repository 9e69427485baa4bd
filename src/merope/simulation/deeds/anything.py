"""Any method of the table: each has its turn, with arguments that make sense or with nonsense."""

from collections.abc import Callable
from typing import Any

from merope.core.methods import METHODS, Param, Type
from merope.simulation.deeds.call import Call, Deed
from merope.simulation.draws import NUMBERS, POOLS, Draw
from merope.simulation.genesis import OWN_MARKET, ROUTER_TEMPLATE

#: Parameter → whose ids it takes.
_IDS = {
    "host": "host",
    "ds": "datastore",
    "datastore": "datastore",
    "uid": "user",
    "user": "user",
    "gid": "group",
    "group": "group",
    "cluster": "cluster",
    "vnet": "vn",
}
#: Parameters that are small numbers: of parts of an object, or what of a few things is meant.
_SMALL = frozenset("level snapshot disk nic ar server zone op status".split())
_TEXTS = (
    "",
    "x",
    'A="1"',
    'NAME="again"',
    "<T><A>1</A></T>",
    "no = [",
    "NAME=\u200b",
    "é" * 40,
    "]]>",
    "-1",
    "USE",
)
_DISK = "DISK=[TYPE=fs,SIZE=7]"
_NIC = "NIC=[NETWORK_ID=0]"
_HELD = 'LEASES=[IP="10.0.0.7"]'
_LEASE = 'LEASES=[IP="10.0.0.5"]'

Arguments = Callable[[Draw], list[Any]]


def _named(draw: Draw, kind: str) -> str:
    return f"NAME={kind}{draw.chance.randrange(4)}"


def _foreign(draw: Draw, api: str, *changes: tuple[str, str]) -> list[Any]:
    """A document as another zone of the federation has one: like one of ours, of another name."""
    pool = draw.state.pools[POOLS[api]]
    oid = draw.one(draw.ids(api) or [0])
    body = pool.entries[oid].body if oid in pool.entries else "<X/>"
    for before, after in (*changes, ("<ZONE_ID>0<", "<ZONE_ID>3<")):
        body = body.replace(before, after)
    name = f"<NAME>far{draw.chance.randrange(3)}</NAME>"
    start, end = body.find("<NAME>"), body.find("</NAME>")
    return [body[:start] + name + body[end + len("</NAME>") :] if start >= 0 else body]


def _as_it_is(draw: Draw, api: str) -> list[Any]:
    pool = draw.state.pools[POOLS[api]]
    oid = draw.one(draw.ids(api) or [0])
    return [oid, pool.entries[oid].body if oid in pool.entries else "<X/>"]


def _same_name(draw: Draw, api: str) -> list[Any]:
    oid = draw.oid(api)
    entry = draw.state.pools[POOLS[api]].entries.get(oid)
    return [oid, "" if entry is None else entry.name]


#: Arguments that make sense, where they do not follow from the types and the names of the parameters.
_SENSE: dict[str, Arguments] = {
    "one.vm.allocate": lambda draw: [draw.vm_template(), False],
    "one.vm.attach": lambda draw: [draw.oid("vm"), _DISK],
    "one.vm.attachnic": lambda draw: [draw.oid("vm"), _NIC],
    "one.vm.action": lambda draw: [draw.one(("reboot", "poweroff", "resume", "hold")), draw.oid("vm")],
    "one.vm.resize": lambda draw: [draw.oid("vm"), "CPU=0.2", draw.likely(0.5)],
    "one.vm.diskresize": lambda draw: [draw.oid("vm"), 0, "2000"],
    "one.vm.updateconf": lambda draw: [draw.oid("vm"), "FEATURES=[ACPI=yes]"],
    "one.vm.deploy": lambda draw: [draw.oid("vm"), draw.oid("host"), False, -1, ""],
    "one.template.allocate": lambda draw: [f"{_named(draw, 't')}\n{draw.vm_template()}"],
    "one.template.instantiate": lambda draw: [draw.oid("template"), "", False, "", False],
    "one.vdc.allocate": lambda draw: [_named(draw, "vdc")],
    "one.host.allocate": lambda draw: [f"spare{draw.chance.randrange(3)}", "dummy", "dummy", -1],
    "one.host.recover": lambda draw: [
        draw.oid("host"),
        draw.one(("migrate", "recreate", "delete", "proceed", "cancel")),
        draw.likely(0.5),
        draw.one((0, 1)),
        True,
    ],
    # A host's name is its address: with another name it is another machine.
    "one.host.rename": lambda draw: _same_name(draw, "host"),
    "one.datastore.allocate": lambda draw: [f"{_named(draw, 'ds')}\nTYPE=SYSTEM_DS\nTM_MAD=dummy", -1],
    "one.document.allocate": lambda draw: [_named(draw, "doc"), 100],
    "one.documentpool.info": lambda draw: [-2, -1, -1, draw.one((100, 101))],
    "one.market.allocate": lambda draw: [
        f"{_named(draw, 'm')}\nMARKET_MAD=http\nBASE_URL=http://m/\nPUBLIC_DIR=/m"
    ],
    "one.marketapp.allocate": lambda draw: [
        f"{_named(draw, 'a')}\nORIGIN_ID={draw.oid('image')}",
        OWN_MARKET,
    ],
    "one.market.allocatedb": lambda draw: _foreign(draw, "market", ("<MARKETPLACEAPPS>", "<OTHER>")),
    "one.marketapp.allocatedb": lambda draw: _foreign(draw, "marketapp"),
    "one.market.updatedb": lambda draw: _as_it_is(draw, "market"),
    "one.marketapp.updatedb": lambda draw: _as_it_is(draw, "marketapp"),
    "one.zone.updatedb": lambda draw: _as_it_is(draw, "zone"),
    "one.zone.allocate": lambda draw: [f"{_named(draw, 'z')}\nENDPOINT=http://z/"],
    "one.zone.addserver": lambda draw: [0, f"SERVER=[{_named(draw, 's')},ENDPOINT=http://s/]"],
    "one.zone.replicate": lambda draw: [0, 0, draw.one((0, 0, -1)), 0, 0, 0, 0, 0, ""],
    "one.userquota.update": lambda draw: [f"VM=[VMS={draw.one((-1, 9))}]"],
    "one.groupquota.update": lambda draw: [f"VM=[VMS={draw.one((-1, 9))}]"],
    "one.user.quota": lambda draw: [draw.oid("user"), f"VM=[VMS={draw.one((-1, -2, 9))}]"],
    "one.group.quota": lambda draw: [draw.oid("group"), f"VM=[VMS={draw.one((-1, -2, 9))}]"],
    "one.hook.allocate": lambda draw: [f"{_named(draw, 'h')}\nTYPE=api\nCALL=one.vm.allocate\nCOMMAND=x"],
    "one.image.allocate": lambda draw: [draw.image_template(), 1, True],
    "one.image.clone": lambda draw: [draw.oid("image"), f"c{draw.chance.randrange(5)}", -1],
    "one.image.chtype": lambda draw: [draw.oid("image"), draw.one(("OS", "DATABLOCK"))],
    "one.vmgroup.allocate": lambda draw: [f"{_named(draw, 'g')}\nROLE=[NAME=a]"],
    "one.secgroup.allocate": lambda draw: [f"{_named(draw, 'g')}\nRULE=[PROTOCOL=ICMP,RULE_TYPE=INBOUND]"],
    "one.acl.addrule": lambda draw: ["100000004", f"1{'0' * 3}{'4' * 1}000000000", "1", ""],  # noqa: ARG005
    "one.acl.delrule": lambda draw: [draw.chance.randrange(20)],
    "one.user.allocate": lambda draw: [f"user{draw.chance.randrange(4)}", "secret", "core", []],
    "one.user.chauth": lambda draw: [draw.oid("user"), draw.one(("core", "public")), ""],
    "one.user.passwd": lambda draw: [draw.oid("user"), "secret"],
    "one.user.login": lambda draw: [draw.one(("ann", "bob", "oneadmin")), "", draw.one((600, -1, 0)), -1],
    "one.vmpool.calculateshowback": lambda draw: [-1, -1, -1, -1],  # noqa: ARG005
    "one.vmpool.showback": lambda draw: [-2, -1, -1, -1, -1],  # noqa: ARG005
    "one.vmpool.info": lambda draw: [-2, -1, -1, draw.one((-2, -1, 3)), draw.one(("", "NAME=a"))],
    "one.vmpool.infoextended": lambda draw: [-2, -1, -1, draw.one((-2, -1, 3)), ""],
    "one.vn.allocate": lambda draw: [f"{_named(draw, 'n')}\nVN_MAD=dummy\nBRIDGE=b", -1],
    "one.vn.reserve": lambda draw: [draw.oid("vn"), f"{_named(draw, 'r')}\nSIZE=1"],
    "one.vn.hold": lambda draw: [0, _LEASE],  # noqa: ARG005
    "one.vn.release": lambda draw: [0, draw.one((_LEASE, _HELD))],
    "one.vn.add_ar": lambda draw: [draw.oid("vn"), 'AR=[TYPE=IP4,IP="10.7.0.1",SIZE=2]'],
    "one.vn.update_ar": lambda draw: [draw.oid("vn"), "AR=[AR_ID=0,SIZE=7]"],
    "one.vntemplate.allocate": lambda draw: [f"{_named(draw, 'n')}\nVN_MAD=dummy\nBRIDGE=b"],
    "one.vntemplate.instantiate": lambda draw: [draw.oid("vntemplate"), f"n{draw.chance.randrange(3)}", ""],
    "one.vrouter.allocate": lambda draw: [f"{_named(draw, 'r')}\n{_NIC}"],
    "one.vrouter.attachnic": lambda draw: [draw.oid("vrouter"), _NIC],
    "one.vrouter.instantiate": lambda draw: [draw.oid("vrouter"), 1, ROUTER_TEMPLATE, "", False, ""],
    "one.system.sql": lambda draw: ["UPDATE", False],  # noqa: ARG005
}
_NAMES = sorted(METHODS)


def take_turn(draw: Draw) -> Call:
    """The method whose turn it is."""
    name = _NAMES[draw.turn % len(_NAMES)]
    if name in _SENSE and draw.likely(0.8):
        return name, _SENSE[name](draw), 0 if draw.likely(0.7) else draw.user()
    return name, _arguments(draw, name), draw.user()


def _anything(draw: Draw) -> Call:
    name = draw.one(_NAMES)
    if name in _SENSE and draw.likely(0.6):
        return name, _SENSE[name](draw), draw.user()
    return name, _arguments(draw, name), draw.user()


def _arguments(draw: Draw, name: str) -> list[Any]:
    """Arguments that fit by type and sometimes by sense."""
    if name == "one.host.rename":
        return _same_name(draw, "host")
    api = name.split(".")[1].removesuffix("pool")
    return [_argument(draw, api, param) for param in METHODS[name].params]


def _argument(draw: Draw, api: str, param: Param) -> Any:
    if param.type is Type.BOOLEAN:
        # By force an administrator takes addresses away from VMs that have them.
        return param.name != "force" and draw.likely(0.5)
    if param.type is Type.ARRAY:
        return [draw.oid("group") for _ in range(draw.one((0, 1, 2)))]
    if param.type is Type.STRING:
        return draw.one(_TEXTS) if param.name != "name" else f"{api}{draw.chance.randrange(6)}"
    target = api if param.name == "id" else _IDS.get(param.name)
    if target in POOLS and draw.likely(0.9):
        return draw.oid(target)
    if param.name == "type" and draw.likely(0.9):
        return draw.one((0, 1))
    if param.name in _SMALL and draw.likely(0.9):
        return draw.one((0, 0, 1, 1, 2))
    if param.name[:6] in ("owner_", "group_", "other_"):
        return draw.one((-1, 0, 1))
    return draw.one(NUMBERS)


DEEDS: tuple[tuple[Deed, int], ...] = ((_anything, 6),)
