"""onevnet: virtual networks."""

from xml.etree.ElementTree import Element

from merope.cli import values, vnet_actions
from merope.cli.actions import (
    create,
    delete_command,
    lock_commands,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.declare import Command, Tool, column, file, flag, number, one, opt, ref, word
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, group, text, user


def _page() -> tuple[int, Show]:
    from merope.cli.shows.vnet import show

    return 25, show


def _clusters(net: Element, _: View) -> str:
    return ",".join(e.text or "" for e in net.iterfind("CLUSTERS/ID")) or "-"


_AR = number("ar_id")

TOOL = Tool(
    "onevnet",
    "vnet",
    "virtual networks: address ranges and their leases",
    (
        Command(
            "create",
            "create a network from a template file",
            create("vnet", lambda ctx: ctx.option_oid("cluster", "cluster")),
            (file(),),
            (ref("--cluster", "cluster", "the cluster to put it in (default: cluster 0)", "-c"),),
            ("create private.template",),
        ),
        delete_command("vnet"),
        Command(
            "addar",
            "add an address range",
            vnet_actions.add_range,
            (one("vnet"), file()),
            vnet_actions.RANGE_OPTIONS,
            ("addar private --ip 10.1.0.10 --size 20", "addar 0 ar.txt"),
        ),
        Command(
            "addleases",
            "add one address, as a range of its own",
            vnet_actions.add_lease,
            (one("vnet"), word("ip"), word("mac", optional=True)),
        ),
        Command(
            "rmar",
            "remove an address range",
            vnet_actions.remove_range,
            (one("vnet"), _AR),
            (flag("--force", "also when leases of it are in use"),),
        ),
        Command(
            "rmleases",
            "remove the range that is this one address",
            vnet_actions.remove_lease,
            (one("vnet"), word("ip")),
        ),
        Command("free", "give a reserved address range back", vnet_actions.free, (one("vnet"), _AR)),
        Command(
            "hold", "keep an address from being leased", vnet_actions.lease("hold"), (one("vnet"), word("ip"))
        ),
        Command(
            "release",
            "let a held address be leased",
            vnet_actions.lease("release"),
            (one("vnet"), word("ip")),
        ),
        Command(
            "reserve",
            "take addresses out of a network, as a network of one's own",
            vnet_actions.reserve,
            (one("vnet"), one("vnet", "reservation", optional=True)),
            (
                opt("--name", "name", "the reservation's name", "-n"),
                opt("--size", "size", "how many addresses", "-s", values.positive),
                opt("--ar_id", "id", "from this address range", "-a", values.natural),
                opt("--mac", "mac", "from this MAC address on", "-m"),
                opt("--ip", "ip", "from this IPv4 address on", "-i"),
                opt("--ip6", "ip6", "from this IPv6 address on", "-6"),
            ),
            ("reserve private --name mine --size 5", "reserve private mine --size 3"),
        ),
        *ownership_commands("vnet"),
        *list_commands("vnet", top=False),
        show_command("vnet", _page, flag("--show-ar", "show the address ranges only"), decrypt=True),
        update_command("vnet"),
        Command(
            "updatear",
            "edit an address range, or replace its attributes by a file",
            vnet_actions.update_range,
            (one("vnet"), _AR, file()),
        ),
        rename_command("vnet"),
        *lock_commands("vnet"),
        Command("orphans", "print the ids of networks that nothing uses", vnet_actions.orphans),
    ),
    (
        column("ID:4R~", "the network's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:15L+", "its name", text("NAME")),
        column("CLUSTERS:10L", "the clusters that use it", _clusters),
        column("BRIDGE:8L+", "the bridge of the hosts", text("BRIDGE", "-")),
        column("LEASES:6R", "how many addresses are leased", text("USED_LEASES")),
    ),
)
