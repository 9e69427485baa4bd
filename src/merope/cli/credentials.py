"""Keys and certificates as credentials: what is stored of them, and the tokens that they sign.

`--ssh`, `--x509`, `--x509_proxy` and `--driver` say how a user is authenticated; `--key`, `--cert` and
`--proxy` name files, which the environment may name too (X509_USER_CERT, X509_USER_KEY, X509_PROXY_CERT).
"""

import os
import re
import time
from collections.abc import Callable

from merope.cli.context import Context
from merope.cli.errors import UsageError
from merope.client import tokens

#: Seconds that a token that only opens the login is valid, with clocks that differ.
_OPENING_TIME = 300
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", re.DOTALL)
_KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\n.*?-----END \1-----\n?", re.DOTALL)
SSH, X509, SERVER_CIPHER = "ssh", "x509", "server_cipher"


def driver(ctx: Context) -> str | None:
    """The driver that the options name."""
    named = {SSH: ctx.flag("ssh"), X509: ctx.flag("x509") or ctx.flag("x509_proxy") or ctx.flag("proxy")}
    found = [name for name, given in named.items() if given]
    if given := ctx.option("driver", str):
        found.append(given)
    if len(set(found)) > 1:
        raise UsageError(f"One way to authenticate is expected, not {' and '.join(found)}.")
    return found[0] if found else None


def stored(ctx: Context, method: str | None) -> str | None:
    """What is to be stored for a user of an ssh key or a certificate; None where no file is named."""
    if method == SSH and (path := ctx.option("key", str)):
        return tokens.public_key(tokens.load_key(_read(ctx, path), _passphrase(ctx, path)))
    if method == X509 and (path := ctx.option("cert", str) or _environ(ctx, "X509_USER_CERT")):
        return tokens.certificate_name(_read(ctx, path))
    return None


def opening_token(ctx: Context, user: str) -> str:
    """A token that the user's key signs (drivers ssh and x509), for logging in."""
    end = int(time.time()) + _OPENING_TIME
    if driver(ctx) == SSH:
        path = ctx.option("key", str) or os.path.join(os.path.expanduser("~"), ".ssh", "id_rsa")
        return tokens.user_token(tokens.load_key(_read(ctx, path), _passphrase(ctx, path)), user, end)
    key, key_path, chain = _certificates(ctx)
    if not chain:
        raise UsageError("There is no certificate in the file that was named.")
    return tokens.x509_token(tokens.load_key(key, _passphrase(ctx, key_path)), chain, user, end)


def print_public_key(ctx: Context) -> None:
    path = ctx.option("key", str) or os.path.join(os.path.expanduser("~"), ".ssh", "id_rsa")
    ctx.print(tokens.public_key(tokens.load_key(_read(ctx, path), _passphrase(ctx, path))))


def _certificates(ctx: Context) -> tuple[bytes, str, list[str]]:
    """The key, its file, and the chain of certificates that goes with it, the user's own first."""
    proxy = ctx.option("proxy", str) or (ctx.flag("x509_proxy") and _environ(ctx, "X509_PROXY_CERT"))
    if proxy:
        text = ctx.terminal.read_file(proxy)
        key = _KEY.search(text)
        if key is None:
            raise UsageError(f"{proxy} has no private key: a proxy's file has certificates and a key.")
        return key[0].encode(), proxy, _CERTIFICATE.findall(text)
    cert = ctx.option("cert", str) or _environ(ctx, "X509_USER_CERT")
    key_path = ctx.option("key", str) or _environ(ctx, "X509_USER_KEY")
    if not cert or not key_path:
        raise UsageError("--cert and --key are needed, or --proxy (or X509_USER_CERT and X509_USER_KEY).")
    return _read(ctx, key_path), key_path, _CERTIFICATE.findall(ctx.terminal.read_file(cert))


def _passphrase(ctx: Context, path: str) -> Callable[[], str]:
    return lambda: ctx.terminal.ask_password(f"Passphrase of {path}: ")


def _read(ctx: Context, path: str) -> bytes:
    return ctx.terminal.read_file(path).encode()


def _environ(ctx: Context, name: str) -> str | None:
    return ctx.terminal.environ.get(name) or None
