"""Which cloud, as whom: the places where an endpoint and credentials are looked for, in order.

The endpoint: an option, ONE_XMLRPC, ~/.one/one_endpoint, the cloud of the directory, localhost:2633.
The user and password: options, ONE_AUTH, the one_auth file that belongs to the place where the endpoint
was found.  Both come from one place unless someone says otherwise: the password of one cloud is of no
use to another, and should not be sent to it.

The cloud of the directory is what the supervisor writes: $ONE_LOCATION/var, else the nearest `var` at or
above the working directory, with `endpoint` (a URL) and `.one/one_auth` (user:password) in it.  Above the
working directory only a `var` of this user or of root counts: anybody can make one in /tmp.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from merope.client.errors import ClientError, NoCredentials

DEFAULT_ENDPOINT = "http://localhost:2633/RPC2"
DEFAULT_FLOW = "http://localhost:2474"
#: Where a system-wide installation keeps the administrator's credentials.
SYSTEM_AUTH = "/var/lib/one/.one/one_auth"


class Places(NamedTuple):
    """What discovery may look at; tests give their own."""

    environ: Mapping[str, str]
    home: str
    cwd: str
    system_auth: str = SYSTEM_AUTH

    @classmethod
    def of_process(cls) -> "Places":
        return cls(os.environ, os.path.expanduser("~"), _cwd())


class Cloud:
    """An endpoint (URL) and who to be there (`auth`: "user:password" or "user:token")."""

    __slots__ = ("auth", "endpoint")

    def __init__(self, endpoint: str, auth: str) -> None:
        self.endpoint = endpoint
        self.auth = auth

    @property
    def user(self) -> str:
        return self.auth.partition(":")[0]

    def __repr__(self) -> str:
        return f"Cloud({self.endpoint!r}, user={self.user!r})"


def find_cloud(
    endpoint: str | None = None,
    user: str | None = None,
    password: str | None = None,
    places: Places | None = None,
) -> Cloud:
    """Raises NoCredentials when nothing is found, ClientError when a file that is there cannot be read."""
    places = places or Places.of_process()
    url, auth_files = _find_endpoint(endpoint, places)
    if user is not None and password is not None:
        return Cloud(url, f"{user}:{password}")
    return Cloud(url, _find_auth(places, auth_files))


def find_endpoint(endpoint: str | None = None, places: Places | None = None) -> str:
    return _find_endpoint(endpoint, places or Places.of_process())[0]


def find_flow(places: Places | None = None) -> str:
    """The URL of OneFlow: ONEFLOW_URL, the cloud of the directory, localhost:2474."""
    places = places or Places.of_process()
    directory = _directory_cloud(places)
    there = _read(os.path.join(directory, "oneflow_endpoint")) if directory else None
    return places.environ.get("ONEFLOW_URL") or there or DEFAULT_FLOW


def auth_file(places: Places | None = None) -> str:
    """The file in which a login is kept: what ONE_AUTH names, else ~/.one/one_auth."""
    places = places or Places.of_process()
    return places.environ.get("ONE_AUTH") or os.path.join(places.home, ".one", "one_auth")


def timeout_of(environ: Mapping[str, str]) -> float:
    """Seconds to wait for an answer: ONE_XMLRPC_TIMEOUT, else 60."""
    text = environ.get("ONE_XMLRPC_TIMEOUT", "")
    if not text:
        return 60.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise ClientError(f"ONE_XMLRPC_TIMEOUT must be a number of seconds, not '{text}'.")
    return seconds


def _find_endpoint(option: str | None, places: Places) -> tuple[str, list[str]]:
    """The URL, and the one_auth files in the order in which they fit it."""
    home = os.path.join(places.home, ".one")
    auth_of_home = os.path.join(home, "one_auth")
    directory = _directory_cloud(places)
    auth_of_directory = [os.path.join(directory, ".one", "one_auth")] if directory else []
    elsewhere = [auth_of_home, *auth_of_directory, places.system_auth]
    if option or (option := places.environ.get("ONE_XMLRPC")):
        if directory and option == _read(os.path.join(directory, "endpoint")):
            return option, auth_of_directory
        return option, elsewhere
    if url := _read(os.path.join(home, "one_endpoint")):
        return url, elsewhere
    if directory:
        if url := _read(os.path.join(directory, "endpoint")):
            return url, auth_of_directory
        if not os.path.exists(auth_of_home):
            raise NoCredentials(f"The cloud in {directory} does not run: start it with 'one start'.")
    return DEFAULT_ENDPOINT, elsewhere


def _find_auth(places: Places, files: list[str]) -> str:
    if named := places.environ.get("ONE_AUTH"):
        text = _read(named)
        if text is None and ":" in named and "/" not in named.partition(":")[0]:
            text = named
        if text is None:
            raise NoCredentials(f"ONE_AUTH names {named}, which is not there, is empty or may not be read.")
        return _checked(text, named if text != named else "ONE_AUTH")
    for file in files:
        if (text := _read(file)) is not None:
            return _checked(text, file)
    raise NoCredentials(
        "No credentials were found. Put user:password into ~/.one/one_auth (mode 600), name a file with "
        "ONE_AUTH, give --user, or work in the directory of a cloud that runs."
    )


def _checked(text: str, source: str) -> str:
    user, colon, secret = text.partition(":")
    if not (user and colon and secret):
        raise NoCredentials(f"{source} should hold one line, user:password.")
    return text


def find_home(environ: Mapping[str, str] | None = None) -> str | None:
    """The directory of the cloud that the working directory (or ONE_LOCATION) means, None without one."""
    places = Places.of_process()
    return _directory_cloud(places if environ is None else places._replace(environ=environ))


def _directory_cloud(places: Places) -> str | None:
    if location := places.environ.get("ONE_LOCATION"):
        return os.path.join(location, "var")
    directory = places.cwd
    while directory:
        var = os.path.join(directory, "var")
        if _is_cloud(var):
            return var
        parent = os.path.dirname(directory)
        directory = parent if parent != directory else ""
    return None


def _is_cloud(var: str) -> bool:
    """A cloud that is stopped has credentials and no endpoint."""
    try:
        if os.stat(var).st_uid not in (os.geteuid(), 0):
            return False
    except OSError:
        return False
    return any(os.path.exists(os.path.join(var, *name)) for name in (("endpoint",), (".one", "one_auth")))


def _read(path: str) -> str | None:
    """The first line of a file, None when there is no such file (or it is empty)."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip() or None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Forbidden is the system-wide file of another user: as good as absent.
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise ClientError(f"{path} cannot be read: {e}") from e


def _cwd() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
