"""oneuser: users."""

from merope.cli import account, credentials, user_actions, user_login
from merope.cli import values as readers
from merope.cli.actions import delete_command, update_command
from merope.cli.context import Context
from merope.cli.declare import Arg, Command, Tool, column, flag, ids, one, opt, word
from merope.cli.listing import list_commands
from merope.cli.quotas import join_quotas
from merope.cli.showing import Show, show_command
from merope.cli.view import text


def _page() -> tuple[int, Show]:
    from merope.cli.shows.account import user

    return 16, user


def _group_command(name: str, help_text: str) -> Command:
    def run(ctx: Context) -> int:
        gid = ctx.oid(kind="group")
        return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call(f"one.user.{name}", oid, gid))

    return Command(name, help_text, run, (ids("user"), one("group")))


_PASSWORD = word("password", optional=True)
_USERNAME = word("username", optional=True)
_PASSWORD_OPTIONS = (
    flag("--read-file", "the argument names a file that holds the password", "-r"),
    flag("--stdin", "read the password from standard input"),
    flag("--sha256", "send the password's SHA-256 digest (for drivers that compare digests)"),
)
_DRIVER = opt("--driver", "driver", "the authentication driver (core, public, ssh, x509, ldap …)")
_KEY = opt("--key", "file", "the private key: RSA, in PEM or in OpenSSH's form (~/.ssh/id_rsa)", "-k")
_METHOD_OPTIONS = (
    flag("--ssh", "authenticate by an ssh key"),
    flag("--x509", "authenticate by a certificate"),
    _KEY,
    opt("--cert", "file", "the certificate, in PEM (X509_USER_CERT)", "-c"),
    _DRIVER,
)
_LOGIN_OPTIONS = (
    *_METHOD_OPTIONS,
    flag("--x509_proxy", "authenticate by a proxy certificate"),
    opt("--proxy", "file", "the proxy: certificates and a key in PEM (X509_PROXY_CERT)"),
    opt(
        "--time", "seconds", "how long the token is valid; -1: for ever (default 36000)", "", readers.integer
    ),
    opt("--group", "id|name", "a token that acts in this group only", "", readers.id_or_name),
    flag("--force", "overwrite the file of credentials"),
    flag("--stdin_password", "read the password from standard input"),
)
_CELLS = account.QuotaCells("USER", vms="{:>4} / {:>3}", cpu="{:>4} / {:>3}")

TOOL = Tool(
    "oneuser",
    "user",
    "users: who they are and what they may use up",
    (
        Command(
            "create",
            "create a user",
            user_actions.create,
            (word("username"), _PASSWORD),
            (
                *_PASSWORD_OPTIONS,
                *_METHOD_OPTIONS,
                opt("--group", "id,name", "groups; the first is the primary one", "", readers.id_list),
            ),
            (
                "create ann",
                "create ann --stdin < password",
                "create bob --ssh --key id_rsa",
                "create carol --x509 --cert cert.pem",
                "create app --driver public",
            ),
        ),
        update_command("user"),
        *account.quota_commands("user"),
        Command(
            "umask",
            "the permissions that users' new objects lack (no mask: that of the cloud)",
            user_actions.umask,
            (ids("user"), Arg("mask", user_actions.mask, optional=True)),
            examples=("umask 5 137",),
        ),
        Command(
            "login",
            "get a token and keep it as your credentials (~/.one/one_auth, or ONE_AUTH)",
            user_login.login,
            (_USERNAME,),
            _LOGIN_OPTIONS,
            ("login ann --time 3600", "login bob --ssh", "login carol --x509 --cert cert.pem --key key.pem"),
        ),
        Command(
            "key",
            "print the public half of an ssh key, as it is stored for users of the driver ssh",
            credentials.print_public_key,
            (),
            (_KEY,),
            ("key --key ~/.ssh/id_rsa",),
        ),
        delete_command("user"),
        Command(
            "passwd",
            "change a user's password",
            user_actions.passwd,
            (one("user"), _PASSWORD),
            (*_PASSWORD_OPTIONS, *_METHOD_OPTIONS),
            ("passwd ann", "passwd ann --stdin < password"),
        ),
        _group_command("chgrp", "change users' primary group"),
        _group_command("addgroup", "add users to a further group"),
        _group_command("delgroup", "take users out of a further group"),
        Command(
            "chauth",
            "change how a user is authenticated",
            user_actions.chauth,
            (one("user"), word("auth", optional=True), _PASSWORD),
            (*_PASSWORD_OPTIONS, *_METHOD_OPTIONS),
            ("chauth app public", "chauth bob --ssh --key id_rsa"),
        ),
        *list_commands("user", top=False, rows=lambda pool: join_quotas(pool, "USER")),
        show_command("user", _page, optional=True),
        Command(
            "encode",
            "print user:password with special characters encoded",
            user_actions.encode,
            (word("username"), _PASSWORD),
            (flag("--stdin", "read the password from standard input"),),
        ),
        Command(
            "passwdsearch",
            "list users of a driver who have this (stored) password",
            user_actions.passwdsearch,
            (word("driver"), word("password")),
            (flag("--csv", "print comma-separated values"), flag("--xml", "print XML", "-x")),
        ),
        Command(
            "token-create",
            "get a token and keep it in a file of its own",
            user_login.token_create,
            (_USERNAME,),
            _LOGIN_OPTIONS,
            ("token-create --time 3600 --group web",),
        ),
        Command(
            "token-set",
            "print the setting of ONE_AUTH that uses one of your tokens",
            user_login.token_set,
            (_USERNAME,),
            (
                opt("--token", "token", "the token's first characters"),
                opt("--group", "id|name", "a token that acts in this group", "", readers.id_or_name),
                flag("--global", "a token that acts in all your groups"),
            ),
            ("token-set --token 1d47",),
        ),
        Command(
            "token-delete",
            "make a token invalid",
            user_login.token_delete,
            (_USERNAME, word("token")),
            examples=("token-delete 1d47",),
        ),
        Command(
            "token-delete-all",
            "make all tokens of a user invalid",
            user_login.token_delete_all,
            (word("username"),),
        ),
    ),
    (
        column("ID:4R~", "the user's id", text("ID")),
        column("NAME:15L+", "the user's name", text("NAME")),
        column("GROUP:8L", "the primary group", lambda u, v: u.findtext("GID" if v.numeric else "GNAME", "")),
        column("AUTH:8L", "how the user is authenticated", text("AUTH_DRIVER")),
        column("VMS:10R", "machines / limit", _CELLS.machines),
        column("MEMORY:10R", "their memory / limit", _CELLS.memory),
        column("CPU:10R", "their CPU / limit", _CELLS.processors),
    ),
    (column("PASSWORD:50R", "the stored password", text("PASSWORD")),),
)
