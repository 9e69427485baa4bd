"""x509: the user's PASSWORD is the name of a certificate, the secret is base64 of a signature and a chain.

`<base64 of user:expires, encrypted with the certificate's key>:<certificate>[:<certificate>…]`, in PEM, the
user's own or its proxy first. `oneuser login --x509` and `--proxy` make it.
"""

from dataclasses import dataclass
from pathlib import Path

from merope.drivers.auth import certificates, options, rsa, signed
from merope.drivers.auth.base import Computing, Places, Refused
from merope.drivers.auth.options import TrueFalse
from merope.model.authentication import Credentials, Identity
from merope.model.option import Option, Text

FILE = "x509_auth.conf"
OPTIONS = {
    "ca_dir": Option(
        ":ca_dir:",
        Text(r"/.+", "an absolute path"),
        None,
        "Directory of the trusted authorities, named as `openssl rehash` names them; default: "
        "`auth/certificates` beside oned.conf.",
    ),
    "check_crl": Option(
        ":check_crl:",
        TrueFalse(),
        "false",
        "Whether each authority must have a revocation list (HASH.r0). One that is there always counts.",
    ),
}


@dataclass(frozen=True)
class Settings:
    ca_dir: Path
    check_crl: bool


class X509Driver(Computing):
    def __init__(self, places: Places) -> None:
        self._directory = places.etc / "auth"

    def check(self) -> None:
        self._settings()

    def authenticate(self, credentials: Credentials) -> Identity:
        settings = self._settings()
        signature, *pem = signed.decoded(credentials.secret).split(b":")
        chain = certificates.load(pem)
        text = rsa.recovered(chain[0].public_key(), signed.decoded(signature.decode("latin-1")))
        end = signed.check_user(text, credentials)
        person = certificates.owner(chain, settings.ca_dir, credentials.now, check_crl=settings.check_crl)
        if certificates.name(person) not in credentials.stored.split("|"):
            raise Refused("the certificate is of another person than the user's PASSWORD says")
        return Identity(expires=min(end, certificates.ends(chain)))

    def _settings(self) -> Settings:
        path = self._directory / FILE
        if not path.exists():
            return Settings(self._directory / "certificates", False)
        table, problems = options.read(path)
        found = options.values(table, OPTIONS, problems)
        problems.done()
        return Settings(Path(found["ca_dir"] or self._directory / "certificates"), found["check_crl"])
