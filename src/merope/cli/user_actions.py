"""What `oneuser` does with accounts and passwords.

A password comes from the argument, from a file, from standard input or from the person at the terminal;
the last three are out of sight of other users of the machine.
"""

from xml.etree.ElementTree import Element, tostring

from merope.cli import credentials, table
from merope.cli.context import Context
from merope.cli.errors import CliError, UsageError
from merope.model import distinguished_name
from merope.model.template import Template

_UMASK_DIGITS = 3


def read_password(ctx: Context, confirm: bool = True, driver: str | None = None) -> str:
    """What is to be stored for a user of the driver."""
    if found := credentials.stored(ctx, driver):
        return found
    text = ctx.optional_word("password")
    if ctx.flag("stdin"):
        password = ctx.terminal.read_file("-").partition("\n")[0]
    elif ctx.flag("read-file"):
        if text is None:
            raise UsageError("--read-file needs the file's name where the password would stand.")
        password = ctx.terminal.read_file(text).partition("\n")[0]
    elif text is not None:
        password = text
    else:
        password = ctx.terminal.ask_password("New password: ")
        if confirm and ctx.terminal.ask_password("Once more: ") != password:
            raise CliError("The two passwords are not the same.")
    if not password:
        raise CliError("The password is empty.")
    if ctx.flag("sha256") or driver == credentials.SERVER_CIPHER:
        import hashlib

        return hashlib.sha256(password.encode()).hexdigest()
    return distinguished_name.stored(password) if driver == credentials.X509 else password


def create(ctx: Context) -> None:
    driver = credentials.driver(ctx) or "core"
    groups = ctx.names.many("group", ctx.option("group", list) or [])
    # A user of the public driver cannot log in, so there is nothing to type.
    nothing = driver == "public" and not (ctx.has("password") or ctx.flag("stdin"))
    password = "-" if nothing else read_password(ctx, driver=driver)
    more = (groups,) if groups else ()
    ctx.print_id(ctx.client.number("one.user.allocate", ctx.word("username"), password, driver, *more))


def passwd(ctx: Context) -> None:
    ctx.client.call("one.user.passwd", ctx.oid(), read_password(ctx, driver=credentials.driver(ctx)))


def chauth(ctx: Context) -> None:
    driver = ctx.optional_word("auth") or credentials.driver(ctx)
    if not driver:
        raise UsageError("The driver must be given.")
    asked = ctx.has("password") or any(ctx.flag(name) for name in ("stdin", "read-file", "key", "cert"))
    password = read_password(ctx, driver=driver) if asked else ""
    ctx.client.call("one.user.chauth", ctx.oid(), driver, password)


def mask(text: str) -> str:
    if len(text) != _UMASK_DIGITS or any(c not in "01234567" for c in text):
        raise ValueError(f"three octal digits are expected, not '{text}'")
    return text


def umask(ctx: Context) -> int:
    """UMASK in the user's template; without a mask the attribute goes away."""
    wanted = ctx.optional_word("mask")

    def act(oid: int) -> None:
        if wanted is not None:
            ctx.client.call("one.user.update", oid, Template([("UMASK", wanted)]).to_text(), 1)
            return
        element = ctx.client.info("user", oid).find("TEMPLATE")
        template = Template() if element is None else Template.from_element(element)
        if template.remove("UMASK"):
            ctx.client.call("one.user.update", oid, template.to_text(), 0)

    return ctx.for_each(ctx.ids(), act)


def encode(ctx: Context) -> None:
    from urllib.parse import quote

    secret = ctx.optional_word("password")
    if ctx.flag("stdin") or secret is None:
        secret = read_password(ctx, confirm=False)
    ctx.print(f"{quote(ctx.word('username'), safe='')}:{quote(secret, safe='')}")


def passwdsearch(ctx: Context) -> None:
    driver, password = ctx.word("driver"), ctx.word("password")
    found = [
        u
        for u in ctx.client.pool("user")
        if u.findtext("AUTH_DRIVER") == driver and password in (u.findtext("PASSWORD") or "").split("|")
    ]
    if ctx.flag("xml"):
        pool = Element("USER_POOL")
        pool.extend(found)
        ctx.print(tostring(pool, encoding="unicode"))
        return
    columns = [c for c in ctx.invocation.tool.columns if c.name in ("ID", "NAME", "AUTH")]
    rows = [[u.findtext("ID", ""), u.findtext("NAME", ""), driver] for u in found]
    lines = (
        table.csv(columns, rows, ",", True)
        if ctx.flag("csv")
        else table.lines(columns, rows, ctx.terminal.style)
    )
    for line in lines:
        ctx.print(line)
