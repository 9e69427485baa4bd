"""onemarketapp: apps of marketplaces."""

import time
from xml.etree.ElementTree import Element

from merope.cli import formats, market_actions, market_export, states
from merope.cli.actions import (
    delete_command,
    each_command,
    lock_commands,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.declare import Command, Tool, column, file, flag, one, opt, ref, word
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, text


def _page() -> tuple[int, Show]:
    from merope.cli.shows.market import app

    return 15, app


def _registered(app: Element, _: View) -> str:
    return time.strftime("%D", time.localtime(formats.integer(app.findtext("REGTIME"))))


TOOL = Tool(
    "onemarketapp",
    "marketapp",
    "apps of marketplaces: images to take from there or to publish",
    (
        Command(
            "create",
            "publish an image as an app",
            market_actions.create,
            (file(),),
            (
                ref("--marketplace", "market", "where to publish it", "-m"),
                opt("--name", "name", "the app's name"),
                opt("--description", "description", "what it is"),
                ref("--image", "image", "the image to publish"),
                flag("--dry", "print the template instead of sending it"),
            ),
            ("create --name debian --image 5 --marketplace shelf", "create app.template -m 100"),
        ),
        Command(
            "export",
            "make images and templates of an app",
            market_export.export,
            (one("marketapp"), word("name")),
            (
                ref("--datastore", "datastore", "the datastore of the new image", "-d"),
                opt("--vmname", "name", "the new template's name (default: that of the image)"),
                opt("--tag", "tag", "the tag of a DockerHub image (default latest)"),
            ),
            ("export 'Alpine Linux 3.11' alpine -d default",),
        ),
        Command(
            "download",
            "write an app's image into a file",
            market_actions.download,
            (one("marketapp"), word("path")),
            (flag("--force", "overwrite the file"),),
            ("download 40 app.img",),
        ),
        delete_command("marketapp"),
        update_command("marketapp"),
        *ownership_commands("marketapp"),
        rename_command("marketapp"),
        *list_commands("marketapp", top=False),
        show_command("marketapp", _page),
        each_command("marketapp", "enable", "let apps be exported", "enable", True),
        each_command("marketapp", "disable", "keep apps from being exported", "enable", False),
        *lock_commands("marketapp"),
    ),
    (
        column("ID:4R~", "the app's id", text("ID")),
        column("NAME:20L+", "its name", text("NAME")),
        column("VERSION:10R", "its version", text("VERSION")),
        column("SIZE:5R", "its size", lambda a, _: formats.size(formats.number(a.findtext("SIZE")), "M")),
        column("STAT:4R", "its state", lambda a, _: states.word(states.APP, a.findtext("STATE"))),
        column(
            "TYPE:4R",
            "img (image), tpl (VM template), srv (service template), unk (unknown)",
            lambda a, _: states.word(states.APP_TYPE, a.findtext("TYPE")),
        ),
        column("REGTIME:8R", "when it was registered", _registered),
        column("MARKET:10L", "its marketplace", text("MARKETPLACE")),
        column("ZONE:4R", "the zone that it belongs to", text("ZONE_ID")),
    ),
)
