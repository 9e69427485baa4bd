"""The pages of marketplaces and their apps."""

import base64
import binascii
import time
from xml.etree.ElementTree import Element

from merope.cli import formats, states
from merope.cli.context import Context
from merope.cli.page import LOCK, OWNED, Field, Page, path

_TYPES = {"0": "UNKNOWN", "1": "IMAGE", "2": "VMTEMPLATE", "3": "SERVICE_TEMPLATE"}


def _megabytes(name: str, label: str) -> Field:
    return Field(label, lambda m: formats.size(formats.number(m.findtext(name)), "M"))


_CAPACITY = (
    _megabytes("TOTAL_MB", "TOTAL:"),
    _megabytes("FREE_MB", "FREE:"),
    _megabytes("USED_MB", "USED:"),
)


def market(_: Context, page: Page, el: Element) -> None:
    page.heading(f"MARKETPLACE {el.findtext('ID')} INFORMATION")
    page.fields((*OWNED, Field("MARKET_MAD", path("MARKET_MAD"))), el)
    page.line()
    page.heading("MARKETPLACE CAPACITY")
    page.fields(_CAPACITY, el)
    page.line()
    page.permissions(el)
    page.line()
    page.template("MARKETPLACE TEMPLATE", el.find("TEMPLATE"))
    page.line()
    page.ids("MARKETAPPS", el, "MARKETPLACEAPPS")


_APP = (
    *OWNED[:2],
    Field("TYPE", lambda a: _TYPES.get(a.findtext("TYPE", ""), a.findtext("TYPE", ""))),
    *OWNED[2:],
    Field("MARKETPLACE", path("MARKETPLACE")),
    Field("STATE", lambda a: states.word(states.APP, a.findtext("STATE"))),
    LOCK,
)
_DETAILS = (
    Field("SOURCE", path("SOURCE")),
    Field("MD5", path("MD5")),
    Field("PUBLISHER", lambda a: a.findtext("PUBLISHER") or a.findtext("TEMPLATE/PUBLISHER") or ""),
    Field(
        "REGISTER TIME", lambda a: time.strftime("%c", time.localtime(formats.integer(a.findtext("REGTIME"))))
    ),
    Field("VERSION", path("VERSION")),
    Field("DESCRIPTION", path("DESCRIPTION")),
    _megabytes("SIZE", "SIZE"),
    Field("ORIGIN_ID", path("ORIGIN_ID")),
    Field("FORMAT", path("FORMAT")),
)


def app(_: Context, page: Page, el: Element) -> None:
    page.heading(f"MARKETPLACE APP {el.findtext('ID')} INFORMATION")
    page.fields(_APP, el)
    page.line()
    page.permissions(el)
    page.line()
    page.heading("DETAILS")
    page.fields(_DETAILS, el)
    page.line()
    page.heading("IMPORT TEMPLATE")
    page.line(_decoded(el.findtext("APPTEMPLATE64", "")))
    page.line()
    page.template("MARKETPLACE APP TEMPLATE", el.find("TEMPLATE"))


def _decoded(text: str) -> str:
    """The text behind base64; as it is when it is none."""
    try:
        return base64.b64decode(text).decode().rstrip("\n")
    except (binascii.Error, UnicodeDecodeError):
        return text
