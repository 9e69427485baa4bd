"""Logging in: what a session's `name:secret` amounts to, and whom it makes the caller.

Verifying a password takes a key derivation, so it is not done here: `check_credentials` answers what is
left to be done, the door does it in a thread. Source: spec drivers.yaml `session`.
"""

from dataclasses import dataclass, field
from enum import Enum

from merope.core import vm_requests
from merope.core.transaction import Caller
from merope.core.user import CORE
from merope.model import passwords
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.kinds import GROUP, USER
from merope.model.settings import Settings
from merope.model.state import State
from merope.model.user import User

#: Users of this driver exist for services that act for them; they cannot log in themselves.
PUBLIC = "public"

#: Drivers whose names begin so have services as users: their secret names the user for whom they ask.
SERVER_DRIVERS = "server"


class Step(Enum):
    """What is left to be done with a session."""

    GRANTED = "it is valid"
    DENIED = "it is not"
    VERIFY = "verify the secret against the stored password"
    DRIVER = "ask the authentication driver"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`uid` is whom the session acts for once it is granted, `egid` the one group it is limited to or -1.

    VERIFY: `passwords.verify(stored, secret)`, and then perhaps `needs_upgrade`. For a name that is not
    known `uid` is -1 and the stored form is one that nothing matches: it is to be verified all the same,
    so that the time of the answer does not tell which names exist.
    DRIVER: driver `driver` gets `name`, `stored` and `secret`, and `target` from a service. For a name that
    is not known `uid` and `holder` are -1: the driver is DEFAULT_AUTH, and may know somebody of that name.
    A result may be remembered as long as `stored` is the password of user `holder`.
    """

    step: Step
    uid: int = -1
    egid: int = -1
    driver: str = ""
    name: str = ""
    target: str = ""
    holder: int = -1
    stored: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


_DENIED = Verdict(Step.DENIED)


def check_credentials(state: State, now: int, name: str, secret: str, settings: Settings) -> Verdict:
    """The first half of a login: everything that is fast. `now` is an epoch in seconds."""
    uid = state.pool(USER).named(name, 0)
    if uid is None:
        return _unknown(name, secret, settings)
    user = _user(state, uid)
    if user is None or not user.enabled or not secret or user.auth_driver == PUBLIC:
        return _DENIED
    token = passwords.find_token(user.login_tokens, secret)
    if token is not None:
        # An expired token is not tried as a password.
        usable = not passwords.has_expired(token, now)
        return Verdict(Step.GRANTED, uid, token.egid, holder=uid) if usable else _DENIED
    if user.auth_driver.startswith(SERVER_DRIVERS):
        return _for_another(state, user, secret)
    step = Step.VERIFY if user.auth_driver == CORE else Step.DRIVER
    return Verdict(step, uid, -1, user.auth_driver, name, "", uid, user.password, secret)


def enabled_drivers(settings: Settings) -> tuple[str, ...]:
    """The drivers that AUTHN of AUTH_MAD names."""
    found = (section.get("AUTHN", "").split(",") for section in settings.auth_mad.values())
    return tuple(dict.fromkeys(name.strip() for names in found for name in names if name.strip()))


def _unknown(name: str, secret: str, settings: Settings) -> Verdict:
    if settings.default_auth in enabled_drivers(settings):
        if not name or not secret:
            return _DENIED
        return Verdict(Step.DRIVER, driver=settings.default_auth, name=name, secret=secret)
    stored = _unmatched(settings.password_kdf_cost)
    return Verdict(Step.VERIFY, driver=CORE, name=name, stored=stored, secret=secret)


def _for_another(state: State, server: User, secret: str) -> Verdict:
    """The secret of a service: `target:token`, or `target:egid:token`."""
    target, _, rest = secret.partition(":")
    group, colon, token = rest.rpartition(":")
    uid = state.pool(USER).named(target, 0)
    egid = vm_requests.whole(group) if colon else -1
    if uid is None or egid is None or not token:
        return _DENIED
    known = _user(state, uid)
    if known is None or not known.enabled or (egid != -1 and egid not in known.groups):
        return _DENIED
    driver, name, stored = server.auth_driver, server.name, server.password
    return Verdict(Step.DRIVER, uid, egid, driver, name, target, server.id, stored, token)


def caller(state: State, settings: Settings, uid: int, egid: int = -1) -> Caller | None:
    """Whom a granted session acts for; None when the user, or its part in the group, is gone by now."""
    user = _user(state, uid)
    if user is None or not user.enabled or (egid != -1 and egid not in user.groups):
        return None
    gid = user.gid if egid == -1 else egid
    group = state.pool(GROUP).parsed(gid)
    return Caller(
        uid,
        gid,
        user.name,
        group.name if isinstance(group, Group) else "",
        frozenset(user.groups) if egid == -1 else frozenset({egid}),
        _umask(user, settings),
    )


def not_authenticated() -> ApiError:
    return ApiError(Code.AUTHENTICATION, "User couldn't be authenticated, aborting call.")


def _user(state: State, uid: int) -> User | None:
    user = state.pool(USER).parsed(uid)
    assert user is None or isinstance(user, User)
    return user


def _umask(user: User, settings: Settings) -> int:
    """UMASK of the user in octal digits, or the cloud's."""
    text = user.template.get("UMASK")
    if 0 < len(text) <= 3 and all(digit in "01234567" for digit in text):
        return int(text, 8)
    return settings.default_umask


def _unmatched(cost: int) -> str:
    """A stored password of the usual cost that no secret matches."""
    salt, key = "A" * 22, "A" * 43
    return f"$scrypt$ln={cost},r=8,p=1${salt}${key}"
