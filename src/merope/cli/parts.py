"""Parts of an object (a machine's disks, interfaces and snapshots …) by their names, beside their ids."""

from collections.abc import Iterable
from typing import NamedTuple

from merope.cli.context import Context
from merope.cli.errors import CliError
from merope.client import KINDS, whole
from merope.client.wire import Argument


class _Place(NamedTuple):
    """Where parts are in a document ({} is the part before, a disk's id), their id, what they are called."""

    what: str
    path: str
    oid: str
    names: tuple[str, ...]


#: By the kind of the object and the argument that names its part.
_PLACES = {
    ("vm", "diskid"): (_Place("disk", "TEMPLATE/DISK", "DISK_ID", ("TARGET", "IMAGE")),),
    ("vm", "nicid"): (
        _Place("interface", "TEMPLATE/NIC", "NIC_ID", ("NAME",)),
        _Place("interface", "TEMPLATE/NIC_ALIAS", "NIC_ID", ("NAME",)),
    ),
    ("vm", "snapshot_id"): (_Place("snapshot", "TEMPLATE/SNAPSHOT", "SNAPSHOT_ID", ("NAME",)),),
    ("vm", "disk_snapshot_id"): (_Place("snapshot", "SNAPSHOTS[DISK_ID='{}']/SNAPSHOT", "ID", ("NAME",)),),
    ("image", "snapshot_id"): (_Place("snapshot", "SNAPSHOTS/SNAPSHOT", "ID", ("NAME",)),),
    ("vrouter", "nicid"): (_Place("interface", "TEMPLATE/NIC", "NIC_ID", ("NAME", "NETWORK")),),
    ("zone", "serverid"): (_Place("server", "SERVER_POOL/SERVER", "ID", ("NAME",)),),
}


def arguments(ctx: Context, oid: int, names: Iterable[str]) -> list[Argument]:
    """The values of these arguments, names of parts of the object `oid` replaced by their ids.

    Raises CliError when there is no such part, or when several have the name.
    """
    result: list[Argument] = []
    for name in names:
        value = ctx.argument(name, object)
        if isinstance(value, int):
            result.append(value)
        elif places := _PLACES.get((ctx.kind, name)):
            result.append(_look_up(ctx, oid, places, str(value), result))
        else:
            result.append(str(value))
    return result


def number(ctx: Context, oid: int, name: str) -> int:
    """The id of one part."""
    value = arguments(ctx, oid, (name,))[0]
    assert isinstance(value, int)
    return value


def _look_up(ctx: Context, oid: int, places: tuple[_Place, ...], wanted: str, before: list[Argument]) -> int:
    document = ctx.client.info(ctx.kind, oid)
    found = {
        whole(part, place.oid)
        for place in places
        for part in document.iterfind(place.path.format(*before))
        if wanted in [part.findtext(tag) for tag in place.names]
    }
    owner, what = f"{KINDS[ctx.kind].root} {oid}", places[0].what
    if not found:
        raise CliError(f"{owner} has no {what} named {wanted}.")
    if len(found) > 1:
        ids = ", ".join(map(str, sorted(found)))
        raise CliError(f"{owner} has several {what}s named {wanted} ({ids}): use the id.")
    return found.pop()
