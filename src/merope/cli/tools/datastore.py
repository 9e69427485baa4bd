"""onedatastore: datastores."""

from xml.etree.ElementTree import Element

from merope.cli import formats, states
from merope.cli.actions import (
    create,
    delete_command,
    each_command,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.declare import Command, Tool, column, file, ref
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, count, group, text, user


def _page() -> tuple[int, Show]:
    from merope.cli.shows.plain import datastore

    return 15, datastore


def _size(store: Element, _: View) -> str:
    total = formats.number(store.findtext("TOTAL_MB"))
    return formats.size(total, "M") if total else "0M"


def _available(store: Element, _: View) -> str:
    total = formats.number(store.findtext("TOTAL_MB"))
    return f"{round(formats.number(store.findtext('FREE_MB')) * 100 / total)}%" if total else "-"


def _clusters(store: Element, _: View) -> str:
    return ",".join(e.text or "" for e in store.iterfind("CLUSTERS/ID")) or "-"


TOOL = Tool(
    "onedatastore",
    "datastore",
    "datastores: where images, files and machines' disks are kept",
    (
        Command(
            "create",
            "create a datastore from a template file",
            create("datastore", lambda ctx: ctx.option_oid("cluster", "cluster")),
            (file(),),
            (ref("--cluster", "cluster", "the cluster to put it in (default: cluster 0)", "-c"),),
            ("create nfs.template",),
        ),
        delete_command("datastore"),
        *ownership_commands("datastore"),
        *list_commands("datastore", top=False),
        show_command("datastore", _page, decrypt=True),
        update_command("datastore"),
        rename_command("datastore"),
        each_command("datastore", "enable", "let system datastores be used", "enable", True),
        each_command("datastore", "disable", "keep system datastores from getting machines", "enable", False),
    ),
    (
        column("ID:4R~", "the datastore's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:10L+", "its name", text("NAME")),
        column("SIZE:6R", "its capacity", _size),
        column("AVAIL:3L", "how much of it is free", _available),
        column("CLUSTERS:8L", "the clusters that use it", _clusters),
        column("IMAGES:6R", "how many images it has", count("IMAGES/ID")),
        column(
            "TYPE:4L",
            "img (images), sys (machines' disks), fil (files)",
            lambda d, _: states.word(states.DATASTORE_TYPE, d.findtext("TYPE")),
        ),
        column("DS:7L", "its driver", text("DS_MAD")),
        column("TM:7L", "its transfer driver", text("TM_MAD")),
        column("STAT:4L", "its state", lambda d, _: states.word(states.DATASTORE, d.findtext("STATE"))),
    ),
)
