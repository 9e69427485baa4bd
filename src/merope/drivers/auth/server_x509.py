"""server_x509: a service signs its tokens with the key of the cloud's own certificate.

The token is base64 of base64 of `server:target:expires`, encrypted with the key; the PASSWORD of the
service's user is the name of the certificate.
"""

import hmac
from pathlib import Path
from typing import Any

from merope.drivers.auth import certificates, options, rsa, signed
from merope.drivers.auth.base import Computing, Places, Refused
from merope.drivers.errors import DriverError
from merope.model.authentication import Credentials, Identity
from merope.model.option import Option, Text

FILE = "server_x509_auth.conf"
_PATH = Text(r"/.+", "an absolute path")
OPTIONS = {
    "srv_user": Option(
        ":srv_user:",
        Text(r"\S+", "a name without blanks"),
        None,
        "The only user that may act for others by this driver. Must be given.",
    ),
    "one_cert": Option(
        ":one_cert:",
        _PATH,
        None,
        "The certificate of the services, in PEM; default: `auth/cert.pem` beside oned.conf.",
    ),
    "one_key": Option(
        ":one_key:",
        _PATH,
        None,
        "Its key, which services sign with; the core does not read it. Default: `auth/key.pem`.",
    ),
}


class ServerX509Driver(Computing):
    def __init__(self, places: Places) -> None:
        self._directory = places.etc / "auth"

    def check(self) -> None:
        if (self._directory / FILE).exists():
            self._settings()

    def authenticate(self, credentials: Credentials) -> Identity:
        settings = self._settings()
        if credentials.name != settings["srv_user"]:
            raise Refused(f"only {settings['srv_user']!r} (:srv_user: in {FILE}) may act for others")
        path = Path(settings["one_cert"] or self._directory / "cert.pem")
        certificate = _certificate(path)
        known = certificates.name(certificate)
        if not hmac.compare_digest(known.encode(), credentials.stored.encode("utf-8", "surrogatepass")):
            raise Refused(f"the PASSWORD of the user is not the name of {path}, which is {known}")
        if not _is_valid(certificate, credentials.now):
            raise Refused(f"{path} is not valid at this time")
        inner = signed.decoded(credentials.secret).decode("latin-1")
        text = rsa.recovered(certificate.public_key(), signed.decoded(inner))
        end = signed.check_server(text, credentials)
        return Identity(expires=min(end, certificates.ends([certificate])))

    def _settings(self) -> dict[str, Any]:
        path = self._directory / FILE
        if not path.exists():
            raise DriverError(f"the driver server_x509 is not configured: there is no {path}")
        table, problems = options.read(path)
        found = options.values(table, OPTIONS, problems)
        if not found["srv_user"]:
            problems.add(table.line, ":srv_user: must be given: the user that the services log in as")
        problems.done()
        return found


def _certificate(path: Path) -> Any:
    try:
        return certificates.load([path.read_bytes()])[0]
    except OSError as error:
        raise DriverError(f"{path} cannot be read: {error.strerror}") from error
    except Refused as error:
        raise DriverError(f"{path} is no certificate in PEM") from error


def _is_valid(certificate: Any, now: int) -> bool:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return bool(begin.timestamp() <= now < end.timestamp())
