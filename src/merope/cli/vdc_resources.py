"""What a virtual data centre holds: clusters, hosts, datastores and networks of zones."""

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from merope.cli.errors import CliError
from merope.cli.values import id_or_name

if TYPE_CHECKING:
    from merope.cli.context import Context

#: The id that stands for every resource of a type in a zone.
ALL = "-10"

#: Where the document lists the members of each type.
MEMBERS = {name: f"{name}S/{name}" for name in ("CLUSTER", "HOST", "DATASTORE", "VNET")}


def resource(text: str) -> int | str:
    """An id, a name, or ALL."""
    return int(ALL) if text.upper() in ("ALL", ALL) else id_or_name(text)


def count(vdc: Element, name: str) -> str:
    """How many of a type it holds, ALL when it is all of a zone."""
    ids = [m.findtext(f"{name}_ID") for m in vdc.iterfind(MEMBERS[name])]
    return "ALL" if ALL in ids else str(len(ids))


def resource_id(ctx: "Context", zone: int, kind: str, reference: object) -> int:
    """The id of a resource in a zone; a name is looked up in that zone.  Raises CliError."""
    if isinstance(reference, int):
        return reference
    zones = ctx.client.pool("zone")
    found = next((z for z in zones if z.findtext("ID") == str(zone)), None)
    endpoint = "" if found is None else found.findtext("TEMPLATE/ENDPOINT", "")
    if len(zones) == 1 or endpoint == ctx.client.cloud.endpoint:
        return ctx.names.one(kind, reference)
    if not endpoint:
        raise CliError(
            f"Zone {zone} has no ENDPOINT where {kind} {reference} could be looked up: use the id."
        )
    from merope.cli.names import Resolver
    from merope.client import Client

    with Client(endpoint, ctx.client.cloud.auth) as client:
        return Resolver(client).one(kind, reference)
