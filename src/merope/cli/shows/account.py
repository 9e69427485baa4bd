"""The pages of users and groups."""

from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.context import Context
from merope.cli.page import Field, Page, cells, path, yes_no
from merope.cli.shows.shared import quotas

_TOKENS = cells("ID:7L", "EGID:5R", "EXPIRES:20L")
_TOKEN_PREFIX = 7
_NEVER = "-1"


def _secondary_groups(user: Element) -> str | None:
    ids = [e.text or "" for e in user.iterfind("GROUPS/ID")]
    return ",".join(ids) if len(ids) > 1 else None


_USER = (
    Field("ID", path("ID")),
    Field("NAME", path("NAME")),
    Field("GROUP", path("GNAME")),
    Field("SECONDARY GROUPS", _secondary_groups),
    Field("PASSWORD", path("PASSWORD")),
    Field("AUTH_DRIVER", path("AUTH_DRIVER")),
    Field("ENABLED", yes_no("ENABLED")),
)


def user(_: Context, page: Page, el: Element) -> None:
    page.heading(f"USER {el.findtext('ID')} INFORMATION")
    page.fields(_USER, el)
    page.line()
    page.heading("TOKENS")
    tokens = el.findall("LOGIN_TOKEN")
    if tokens:
        page.table(_TOKENS, [_token(t) for t in tokens])
    page.line()
    page.template("USER TEMPLATE", el.find("TEMPLATE"))
    page.line()
    quotas(page, el, "DEFAULT_USER_QUOTAS")


def _token(token: Element) -> list[str]:
    """The first characters only: enough for token-set and token-delete, too few to log in with."""
    end = token.findtext("EXPIRATION_TIME", _NEVER)
    gid = token.findtext("EGID", _NEVER)
    return [
        token.findtext("TOKEN", "")[:_TOKEN_PREFIX],
        "*" if gid == _NEVER else gid,
        "forever" if end == _NEVER else formats.date(formats.integer(end)),
    ]


def group(_: Context, page: Page, el: Element) -> None:
    page.heading(f"GROUP {el.findtext('ID')} INFORMATION")
    page.fields(_USER[:2], el)
    page.line()
    page.template("GROUP TEMPLATE", el.find("TEMPLATE"))
    page.line()
    admins = {e.text for e in el.iterfind("ADMINS/ID")}
    page.line("USER ID ADMIN")
    for member in el.iterfind("USERS/ID"):
        mark = "*" if member.text in admins else ""
        page.line(f"{member.text or '':>7} {mark:>5}".rstrip())
    page.line()
    quotas(page, el, "DEFAULT_GROUP_QUOTAS")
