"""Login tokens: get one, use one, make one invalid (one.user.login)."""

import os
import time

from merope.cli import credentials
from merope.cli.context import Context
from merope.cli.errors import CliError
from merope.client import auth_file, find_cloud, whole
from merope.client.client import Client

#: Seconds that a token lives when nobody says otherwise.
DEFAULT_TIME = 36000
_FOREVER = -1
_ALL_GROUPS = -1
#: So many characters of a token name its file: too few to log in with.
_NAME_LENGTH = 8


def login(ctx: Context) -> None:
    user, token = _new_token(ctx)
    path = auth_file()
    if os.path.exists(path) and not ctx.flag("force"):
        answer = ctx.terminal.ask(f"{path} exists. Overwrite it (--force doesn't ask)? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            raise CliError("Nothing was changed; the token stays valid (oneuser token-set uses it).")
    _write_secret(path, f"{user}:{token}\n")
    ctx.print(f"Authentication token stored in {path}")


def token_create(ctx: Context) -> None:
    user, token = _new_token(ctx)
    _announce(ctx, _keep(user, token))


def token_set(ctx: Context) -> None:
    user = _username(ctx)
    prefix = ctx.option("token", str) or ""
    group = ctx.invocation.options.get("group")
    gid = _ALL_GROUPS if ctx.flag("global") else None if group is None else ctx.names.one("group", group)
    for token, end, egid in _tokens(ctx, user):
        valid = end == _FOREVER or end > time.time()
        if valid and token.startswith(prefix) and gid in (None, egid):
            _announce(ctx, _keep(user, token))
            return
    raise CliError("You have no valid token of that kind; oneuser token-create makes one.")


def token_delete(ctx: Context) -> None:
    user, prefix = _username(ctx), ctx.word("token")
    found = [token for token, _, _ in _tokens(ctx, user) if token.startswith(prefix)]
    if len(found) != 1:
        how_many = "several tokens" if found else "no token"
        raise CliError(f"{user} has {how_many} beginning with '{prefix}'.")
    ctx.client.call("one.user.login", user, found[0], 0, _ALL_GROUPS)


def token_delete_all(ctx: Context) -> None:
    ctx.client.call("one.user.login", ctx.word("username"), "", 0, _ALL_GROUPS)


def _username(ctx: Context) -> str:
    return ctx.optional_word("username") or ctx.client.cloud.user


def _new_token(ctx: Context) -> tuple[str, str]:
    """Who logged in, and the token."""
    client, user = _client(ctx)
    group = ctx.invocation.options.get("group")
    egid = _ALL_GROUPS if group is None else ctx.names.one("group", group)
    seconds = ctx.option("time", int)
    lifetime = DEFAULT_TIME if seconds is None else seconds
    if lifetime == 0 or lifetime < _FOREVER:
        raise CliError("--time: a number of seconds above 0, or -1 for ever, is expected.")
    return user, client.text("one.user.login", user, "", lifetime, egid)


def _client(ctx: Context) -> tuple[Client, str]:
    """As the user named (by a key, or a password typed or read), else with the credentials that are there."""
    user = ctx.optional_word("username")
    if credentials.driver(ctx) in (credentials.SSH, credentials.X509):
        name = user or _name_at_hand(ctx)
        return ctx.become(name, credentials.opening_token(ctx, name)), name
    if user is None or "password" in ctx.invocation.options:
        return ctx.client, user or ctx.client.cloud.user
    if ctx.flag("stdin_password"):
        password = ctx.terminal.read_file("-").partition("\n")[0]
    elif ctx.terminal.interactive:
        password = ctx.terminal.ask_password(f"Password of {user}: ")
    else:
        # An administrator makes a token for somebody else.
        return ctx.client, user
    return ctx.become(user, password), user


def _name_at_hand(ctx: Context) -> str:
    """The user of the options or of the credentials that are there: a key does not know whose it is."""
    return ctx.option("user", str) or find_cloud(ctx.option("endpoint", str)).user


def _tokens(ctx: Context, user: str) -> list[tuple[str, int, int]]:
    """Token, end (epoch, -1: never) and group (-1: all) of each token of a user."""
    oid = -1 if user == ctx.client.cloud.user else ctx.names.one("user", user)
    return [
        (
            t.findtext("TOKEN", ""),
            whole(t, "EXPIRATION_TIME"),
            whole(t, "EGID"),
        )
        for t in ctx.client.info("user", oid).iterfind("LOGIN_TOKEN")
    ]


def _keep(user: str, token: str) -> str:
    path = os.path.join(os.path.expanduser("~"), ".one", f"{token[:_NAME_LENGTH]}.token")
    _write_secret(path, f"{user}:{token}\n")
    return path


def _announce(ctx: Context, path: str) -> None:
    import shlex

    ctx.print(f"export ONE_AUTH={shlex.quote(path)}")


def _write_secret(path: str, text: str) -> None:
    """Mode 600 from the first moment, and never half a file."""
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, 0o700, exist_ok=True)
    new = f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
    os.replace(new, path)
