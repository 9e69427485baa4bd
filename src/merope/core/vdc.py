"""Virtual data centres: commands, and the access rules that follow from groups and resources.

A VDC is nothing but rules: for each of its groups on each of its resources. Which rights they give is
configured (DEFAULT_VDC_*_ACL). A rule goes when no VDC asks for it any more.
Source: spec templates.yaml `vdc`, recorded acl-pool.xml.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from merope.core import acl, authorization, generic
from merope.core.methods import Need, Result, integer, method, text
from merope.core.transaction import Transaction
from merope.model.acl import ALL, Rule, individual
from merope.model.acl import cluster as in_cluster
from merope.model.acl import group as of_group
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.host import Host
from merope.model.kinds import BY_DOCUMENT
from merope.model.permissions import ObjectType, Op
from merope.model.settings import Settings
from merope.model.state import State
from merope.model.vdc import ALL_RESOURCES, Resource, Vdc
from merope.model.vnet import VirtualNetwork
from merope.model.zone import Zone

DEFAULT_VDC = 0


@dataclass(frozen=True, slots=True)
class _Resources:
    """One kind of resource: its field in the document, the word in its methods, and what rules it makes.

    `rights` are (type of object, name of the setting); objects of a cluster are selected by it.
    """

    kind: type[Document]
    field: str
    word: str
    select: Callable[[int], int]
    rights: tuple[tuple[ObjectType, str], ...]


RESOURCES: tuple[_Resources, ...] = (
    _Resources(
        Cluster,
        "clusters",
        "cluster",
        in_cluster,
        (
            (ObjectType.HOST, "default_vdc_cluster_host_acl"),
            (ObjectType.NET, "default_vdc_cluster_net_acl"),
            (ObjectType.DATASTORE, "default_vdc_cluster_datastore_acl"),
        ),
    ),
    _Resources(Host, "hosts", "host", individual, ((ObjectType.HOST, "default_vdc_host_acl"),)),
    _Resources(
        Datastore,
        "datastores",
        "datastore",
        individual,
        ((ObjectType.DATASTORE, "default_vdc_datastore_acl"),),
    ),
    _Resources(VirtualNetwork, "vnets", "vnet", individual, ((ObjectType.NET, "default_vdc_vnet_acl"),)),
)


def _rules(settings: Settings, vdc: Vdc, gids: Iterable[int]) -> Iterator[Rule]:
    """The rules that a VDC asks for, for some of its groups."""
    for gid in sorted(gids):
        for resources in RESOURCES:
            held: set[Resource] = getattr(vdc, resources.field)
            for zone_id, oid in sorted(held):
                selection = ALL if oid == ALL_RESOURCES else resources.select(oid)
                for kind, setting in resources.rights:
                    rights = sum(Op[name] for name in getattr(settings, setting))
                    if rights:
                        yield Rule(-1, of_group(gid), kind | selection, rights, individual(zone_id))


def _drop(tx: Transaction, vdc_id: int, gids: set[int], rules: list[Rule]) -> None:
    """Removes rules for some groups that a VDC asks for no longer, but those that another asks for."""
    if not rules:
        return
    others = (found for found in _all(tx.state) if found.id != vdc_id)
    wanted = {rule.key for vdc in others for rule in _rules(tx.settings, vdc, gids & vdc.groups)}
    for rule in rules:
        if rule.key not in wanted:
            acl.remove(tx, rule)


def _change(tx: Transaction, oid: int, change: Callable[[Vdc], None], gids: set[int] | None = None) -> None:
    """Changes a VDC and what follows from it; `gids` are the groups concerned, if not all of them are."""
    vdc = tx.edit(Vdc, oid)
    concerned = set(vdc.groups) if gids is None else gids
    before = list(_rules(tx.settings, vdc, concerned & vdc.groups))
    change(vdc)
    after = list(_rules(tx.settings, vdc, concerned & vdc.groups))
    had, has = {rule.key for rule in before}, {rule.key for rule in after}
    for rule in after:
        if rule.key not in had:
            acl.add(tx, rule)
    _drop(tx, oid, concerned, [rule for rule in before if rule.key not in has])


def join_default(tx: Transaction, gid: int) -> None:
    """A new group works with what the default VDC has, where there is one."""
    if tx.find(Vdc, DEFAULT_VDC) is not None:
        _change(tx, DEFAULT_VDC, lambda vdc: vdc.groups.add(gid), {gid})


def forget_group(tx: Transaction, gid: int) -> None:
    """A deleted group leaves every VDC."""
    for oid in [vdc.id for vdc in _all(tx.state) if gid in vdc.groups]:
        _change(tx, oid, lambda vdc: vdc.groups.discard(gid), {gid})


def forget_resource(tx: Transaction, kind: type[Document], oid: int) -> None:
    """A deleted cluster, host, datastore or network leaves every VDC."""
    resource = (tx.settings.zone_id, oid)
    for resources in RESOURCES:
        if resources.kind is kind:
            discard = _discarder(resources, resource)
            for vdc in [vdc for vdc in _all(tx.state) if resource in getattr(vdc, resources.field)]:
                _change(tx, vdc.id, discard)


def forget_zone(tx: Transaction, zone_id: int) -> None:
    """A deleted zone has no resources any more."""

    def discard(vdc: Vdc) -> None:
        for resources in RESOURCES:
            held: set[Resource] = getattr(vdc, resources.field)
            held -= {resource for resource in held if resource[0] == zone_id}

    for oid in [vdc.id for vdc in _all(tx.state)]:
        _change(tx, oid, discard)


def _discarder(resources: _Resources, resource: Resource) -> Callable[[Vdc], None]:
    return lambda vdc: getattr(vdc, resources.field).discard(resource)


def _all(state: State) -> Iterator[Vdc]:
    pool = state.pool(BY_DOCUMENT[Vdc])
    for oid in pool.entries:
        vdc = pool.parsed(oid)
        assert isinstance(vdc, Vdc)
        yield vdc


@method("one.vdc.allocate", text("template"), needs=(Need(Op.CREATE, Vdc),))
def allocate(tx: Transaction, source: str) -> int:
    """Makes a VDC without groups and resources."""
    template = generic.parse_template(source)
    name = generic.take_name(tx, Vdc, template)
    vdc = Vdc(id=tx.new_id(Vdc), name=name, template=template)
    tx.add(vdc)
    return vdc.id


@method("one.vdc.delete", integer("id"), needs=(Need(Op.ADMIN, Vdc, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a VDC and the rules that no other asks for."""
    vdc = tx.get(Vdc, oid)
    if oid == DEFAULT_VDC:
        raise generic.delete_error(vdc, "The default VDC (ID 0) cannot be deleted.")
    _drop(tx, oid, vdc.groups, list(_rules(tx.settings, vdc, vdc.groups)))
    acl.drop_rules_about(tx, ObjectType.VDC, oid)
    tx.delete(vdc)
    return oid


@method(
    "one.vdc.addgroup",
    integer("id"),
    integer("group"),
    needs=(Need(Op.ADMIN, Vdc, "id"), Need(Op.ADMIN, Group, "group")),
)
def addgroup(tx: Transaction, oid: int, gid: int) -> int:
    """Gives a group the rights of the VDC."""
    if gid in tx.get(Vdc, oid).groups:
        raise ApiError(Code.INTERNAL, f"Cannot edit resources. Group {gid} is already in VDC {oid}", oid)
    _change(tx, oid, lambda vdc: vdc.groups.add(gid), {gid})
    return oid


@method(
    "one.vdc.delgroup",
    integer("id"),
    integer("group"),
    needs=(Need(Op.ADMIN, Vdc, "id"), Need(Op.ADMIN, Group, "group")),
)
def delgroup(tx: Transaction, oid: int, gid: int) -> int:
    """Takes the rights of the VDC from a group."""
    if gid not in tx.get(Vdc, oid).groups:
        raise ApiError(Code.INTERNAL, f"Cannot edit resources. Group {gid} is not in VDC {oid}", oid)
    _change(tx, oid, lambda vdc: vdc.groups.discard(gid), {gid})
    return oid


def _require(tx: Transaction, resources: _Resources, zone_id: int, resource_id: int, *, exists: bool) -> None:
    """ADMIN on the zone and on the resource, where they are here to be asked for."""
    targets = []
    zone = tx.get(Zone, zone_id) if exists else tx.find(Zone, zone_id)
    if zone is not None:
        targets.append(authorization.on(Op.ADMIN, zone))
    if zone_id == tx.settings.zone_id and resource_id != ALL_RESOURCES:
        find = tx.get if exists else tx.find
        value = find(resources.kind, resource_id)
        if value is not None:
            targets.append(authorization.on(Op.ADMIN, value))
    authorization.require(tx, *targets)


def _adder(resources: _Resources) -> Callable[..., Result]:
    def run(tx: Transaction, oid: int, zone_id: int, resource_id: int) -> int:
        _require(tx, resources, zone_id, resource_id, exists=True)
        held: set[Resource] = getattr(tx.get(Vdc, oid), resources.field)
        if (zone_id, resource_id) in held:
            raise _edit_error(resources, resource_id, zone_id, "is already in", oid)

        def change(vdc: Vdc) -> None:
            own: set[Resource] = getattr(vdc, resources.field)
            if resource_id == ALL_RESOURCES:
                own -= {known for known in own if known[0] == zone_id}
            own.add((zone_id, resource_id))

        if (zone_id, ALL_RESOURCES) in held:
            raise _edit_error(resources, ALL_RESOURCES, zone_id, "is already in", oid)
        _change(tx, oid, change)
        return oid

    return run


def _remover(resources: _Resources) -> Callable[..., Result]:
    def run(tx: Transaction, oid: int, zone_id: int, resource_id: int) -> int:
        _require(tx, resources, zone_id, resource_id, exists=False)
        if (zone_id, resource_id) not in getattr(tx.get(Vdc, oid), resources.field):
            raise _edit_error(resources, resource_id, zone_id, "is not in", oid)
        _change(tx, oid, _discarder(resources, (zone_id, resource_id)))
        return oid

    return run


def _edit_error(resources: _Resources, resource_id: int, zone_id: int, is_in: str, oid: int) -> ApiError:
    what = f"{resources.word.capitalize()} {'ALL' if resource_id == ALL_RESOURCES else resource_id}"
    return ApiError(Code.INTERNAL, f"Cannot edit resources. {what} of Zone {zone_id} {is_in} VDC {oid}", oid)


for _resources in RESOURCES:
    for _verb, _make in (("add", _adder), ("del", _remover)):
        method(
            f"one.vdc.{_verb}{_resources.word}",
            integer("id"),
            integer("zone"),
            integer(_resources.word),
            needs=(Need(Op.ADMIN, Vdc, "id"),),
            also="ADMIN on the zone, and on the resource where it is of this zone and not ALL (-10)",
        )(_make(_resources))
