"""HTTP over a unix socket, for daemons of this host that speak it."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from merope.drivers.errors import DriverError

_AWAY = (FileNotFoundError, ConnectionRefusedError, PermissionError)


class AwayError(DriverError):
    """Nobody listens: nothing was begun."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: str


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def request(path: Path, who: str, method: str, url: str, body: str | None, seconds: float) -> Reply:
    """One request on a connection of its own. `who` is what errors call the other side.

    Raises AwayError, and DriverError when the connection breaks.
    """
    connection = _Connection(path, seconds)
    headers: Mapping[str, str] = {"Content-Type": "application/json", "Accept": "application/json"}
    try:
        connection.request(method, url, body, dict(headers))
        response = connection.getresponse()
        return Reply(response.status, response.read().decode("utf-8", "replace"))
    except _AWAY as error:
        raise AwayError(f"{who} does not answer at {path}: {error.strerror}", retry_safe=True) from error
    except (OSError, http.client.HTTPException) as error:
        raise DriverError(f"the connection to {who} broke: {error or type(error).__name__}") from error
    finally:
        connection.close()
