"""onezone: zones of a federation."""

import os
from xml.etree.ElementTree import Element

from merope.cli import parts
from merope.cli.actions import create, delete_command, rename_command, update_command
from merope.cli.context import Context
from merope.cli.declare import Command, Opt, Tool, column, file, flag, one, part
from merope.cli.errors import CliError, UsageError
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, text
from merope.client import Client, ClientError

#: Seconds that an unreachable zone may hold up the list.
_PROBE_TIMEOUT = 2.0


def _page() -> tuple[int, Show]:
    from merope.cli.shows.zone import zone

    return 18, zone


def _endpoint(zone: Element) -> str:
    return zone.findtext("TEMPLATE/ENDPOINT", "")


def _is_current(zone: Element, view: View) -> bool:
    """The zone whose endpoint is asked; a cloud with one zone has no other."""
    assert view.pool is not None
    alone = len(view.pool.findall("ZONE")) == 1
    return alone or _endpoint(zone) == view.client.cloud.endpoint


def _current(zone: Element, view: View) -> str:
    return "*" if _is_current(zone, view) else ""


def _federated_index(zone: Element, view: View) -> str:
    try:
        if _is_current(zone, view):
            return _index_of(view.client)
        with Client(_endpoint(zone), view.client.cloud.auth, timeout=_PROBE_TIMEOUT) as client:
            return _index_of(client)
    except ClientError:
        return "-"


def _index_of(client: Client) -> str:
    return client.document("one.zone.raftstatus").findtext("FEDLOG_INDEX", "-")


def _set(ctx: Context) -> None:
    """Check that the zone answers, then make its endpoint the user's own."""
    zone = ctx.client.info("zone", ctx.oid())
    endpoint = _endpoint(zone)
    if not endpoint:
        raise CliError(f"Zone {zone.findtext('ID')} has no ENDPOINT.")
    if not ctx.flag("keep"):
        with Client(endpoint, ctx.client.cloud.auth, timeout=_PROBE_TIMEOUT) as client:
            client.text("one.system.version")
    directory = os.path.join(os.path.expanduser("~"), ".one")
    os.makedirs(directory, 0o700, exist_ok=True)
    with open(os.path.join(directory, "one_endpoint"), "w", encoding="utf-8") as target:
        target.write(endpoint + "\n")
    ctx.print(f'Endpoint changed to "{endpoint}" in {os.path.join(directory, "one_endpoint")}')


def _add_server(ctx: Context) -> None:
    from merope.model.template import Template, Vector

    name, endpoint = ctx.option("name", str), ctx.option("rpc", str)
    if not (name and endpoint):
        raise UsageError("--name and --rpc must be given: the server's name and its endpoint.")
    server = Template([("SERVER", Vector({"NAME": name, "ENDPOINT": endpoint}))])
    ctx.client.call("one.zone.addserver", ctx.oid(), server.to_text())


def _server_command(name: str, method: str, help_text: str) -> Command:
    def run(ctx: Context) -> None:
        oid = ctx.oid()
        ctx.client.call(f"one.zone.{method}", oid, parts.number(ctx, oid, "serverid"))

    return Command(name, help_text, run, (one("zone"), part("serverid")))


TOOL = Tool(
    "onezone",
    "zone",
    "zones: the clouds of a federation",
    (
        Command("create", "add a zone from a template file", create("zone"), (file(),)),
        rename_command("zone"),
        Command(
            "server-add",
            "add a front end to a zone",
            _add_server,
            (one("zone"),),
            (
                Opt("--name", "the server's name", "-n", "server_name"),
                Opt("--rpc", "its endpoint", "-r", "rpc endpoint"),
            ),
        ),
        _server_command("server-del", "delserver", "remove a front end from a zone"),
        _server_command("server-reset", "resetserver", "let a front end that follows start over"),
        update_command("zone"),
        delete_command("zone"),
        *list_commands("zone", top=False),
        show_command("zone", _page),
        Command(
            "set",
            "make a zone's endpoint yours (~/.one/one_endpoint)",
            _set,
            (one("zone"),),
            (flag("--keep", "without asking whether the zone answers", "-k"),),
        ),
    ),
    (
        column("CURRENT:1R", "* for the zone that is asked", _current),
        column("ID:4R~", "the zone's id", text("ID")),
        column("NAME:15L+", "its name", text("NAME")),
        column("ENDPOINT:45L", "its endpoint", lambda z, _: _endpoint(z)),
        column("FED_INDEX:10L", "the last entry of the federation's log (-1: none)", _federated_index),
    ),
)
