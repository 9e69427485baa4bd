"""Redfish, the HTTPS interface of present controllers (DMTF DSP0266).

FENCING=[ DRIVER="redfish", ADDRESS="https://bmc7.example", USER="fence", PASSWORD="…" ], and SYSTEM (the
member of /redfish/v1/Systems; needed where there are several), CA_FILE (a file of certificates on the
front-end), and VERIFY="NO" for a controller whose certificate nobody has signed.
"""

import base64
import http.client
import json
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import LOOKS, Power, Target

SECONDS: Final = 20.0
_LIMIT: Final = 1024 * 1024
_SYSTEMS: Final = "/redfish/v1/Systems"
_RESET: Final = "#ComputerSystem.Reset"
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_SAYS = {"On": Power.ON, "Off": Power.OFF}


class RedfishFencing:
    """Speaks HTTP by the standard library: nothing is followed, and nothing is sent to anybody else."""

    looks = LOOKS

    def power_off(self, target: Target) -> None:
        session = _Session(target)
        system = session.get(session.system())
        reset = system.get("Actions", {}).get(_RESET, {})
        wanted = "ForceOff"
        allowed = reset.get("ResetType@Redfish.AllowableValues", [wanted])
        if wanted not in allowed:
            raise DriverError(f"the controller of host {target.host} cannot switch it off at once: {allowed}")
        path = reset.get("target") or f"{session.system()}/Actions/ComputerSystem.Reset"
        session.post(str(path), {"ResetType": wanted})

    def power_state(self, target: Target) -> Power:
        session = _Session(target)
        return _SAYS.get(str(session.get(session.system()).get("PowerState")), Power.UNKNOWN)


class _Session:
    """Requests to one controller, each on a connection of its own."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._where = urlsplit(target.required("ADDRESS"))
        secret = f"{target.get('USER')}:{target.secret('PASSWORD')}"
        self._login = f"Basic {base64.b64encode(secret.encode()).decode()}"
        self._system = ""
        if self._where.hostname is None or self._where.scheme not in ("https", "http"):
            raise DriverError(f"ADDRESS in FENCING of host {target.host} must be a URL such as https://bmc7")
        if self._where.scheme == "http" and self._where.hostname not in _LOOPBACK:
            raise DriverError(
                f"ADDRESS in FENCING of host {target.host} must begin with https: the password would be sent "
                "for everybody to read"
            )

    def system(self) -> str:
        """The path of the host's ComputerSystem."""
        stated = self._target.get("SYSTEM")
        if stated:
            return stated if stated.startswith("/") else f"{_SYSTEMS}/{stated}"
        if not self._system:
            members = self.get(_SYSTEMS).get("Members", [])
            if len(members) != 1:
                raise DriverError(
                    f"the controller of host {self._target.host} has {len(members)} systems: say in SYSTEM "
                    "which is this host"
                )
            self._system = str(members[0].get("@odata.id", ""))
        return self._system

    def get(self, path: str) -> dict[str, Any]:
        found = json.loads(self._request("GET", path, None) or b"{}")
        return found if isinstance(found, dict) else {}

    def post(self, path: str, body: dict[str, str]) -> None:
        self._request("POST", path, json.dumps(body).encode())

    def _request(self, verb: str, path: str, body: bytes | None) -> bytes:
        host = self._target.host
        if not path.startswith("/") or any(char.isspace() for char in path):
            raise DriverError(f"the controller of host {host} has a system at {path!r}, which is no path")
        headers = {"Authorization": self._login, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(verb, path, body, headers)
            response = connection.getresponse()
            data = response.read(_LIMIT)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DriverError(
                f"the controller of host {host} cannot be asked: {_reason(error)}", retry_safe=True
            ) from None
        finally:
            connection.close()
        if response.status >= 300:
            raise DriverError(
                f"the controller of host {host} answered {response.status} {response.reason} to {verb} {path}"
            )
        return data

    def _connection(self) -> http.client.HTTPConnection:
        name = self._where.hostname or ""
        try:
            port = self._where.port
        except ValueError:
            raise DriverError(f"ADDRESS in FENCING of host {self._target.host} has no valid port") from None
        if self._where.scheme == "http":
            return http.client.HTTPConnection(name, port, timeout=SECONDS)
        return http.client.HTTPSConnection(name, port, timeout=SECONDS, context=self._context())

    def _context(self) -> ssl.SSLContext:
        ca_file = self._target.get("CA_FILE")
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise DriverError(
                f"CA_FILE in FENCING of host {self._target.host} cannot be read: {_reason(error)}"
            ) from None
        if self._target.get("VERIFY", "YES").upper() == "NO":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
