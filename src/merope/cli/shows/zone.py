"""The page of a zone: its servers, and how far each of them is."""

from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.page import OWNED, Page, cells
from merope.client import Client, ClientError

_SERVERS = cells("ID:2R", "NAME:15L", "ENDPOINT:63L")
_STATUS = cells(
    "ID:2R", "NAME:15L", "STATE:10L", "TERM:10L", "INDEX:10L", "COMMIT:10L", "VOTE:10L", "FED_INDEX:10L"
)
_STATES = {"0": "solo", "1": "candidate", "2": "follower", "3": "leader"}
_MEASURES = ("TERM", "LOG_INDEX", "COMMIT", "VOTEDFOR", "FEDLOG_INDEX")
#: Seconds that a server which does not answer may hold up the page.
_TIMEOUT = 2.0


def zone(ctx: Context, page: Page, el: Element) -> None:
    page.heading(f"ZONE {el.findtext('ID')} INFORMATION")
    page.fields(OWNED[:2], el)
    page.line()
    servers = el.findall("SERVER_POOL/SERVER")
    if servers:
        page.line()
        page.heading("ZONE SERVERS")
        page.table(_SERVERS, [[s.findtext(n, "") for n in ("ID", "NAME", "ENDPOINT")] for s in servers])
        page.line()
        page.heading("HA & FEDERATION SYNC STATUS")
        page.table(_STATUS, [_status(ctx, s) for s in servers])
    page.line()
    page.template("ZONE TEMPLATE", el.find("TEMPLATE"))


def _status(ctx: Context, server: Element) -> list[str]:
    """What the server itself says of its log."""
    known = [server.findtext("ID", ""), server.findtext("NAME", "")]
    endpoint, cloud = server.findtext("ENDPOINT", ""), ctx.client.cloud
    try:
        if endpoint == cloud.endpoint:
            raft = ctx.client.document("one.zone.raftstatus")
        else:
            with Client(endpoint, cloud.auth, timeout=_TIMEOUT) as client:
                raft = client.document("one.zone.raftstatus")
    except ClientError:
        return [*known, "error", *("-" for _ in _MEASURES)]
    state = raft.findtext("STATE", "")
    return [*known, _STATES.get(state, state), *(raft.findtext(name, "-") for name in _MEASURES)]
