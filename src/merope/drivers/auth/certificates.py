"""Chains of certificates: checked by OpenSSL against a directory of authorities, with proxies and CRLs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from merope.drivers.auth.base import Refused
from merope.drivers.errors import DriverError
from merope.model import distinguished_name

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MISSING = "the libraries cryptography and pyOpenSSL are missing: install merope[auth]"
#: Certificates that one session may bring.
LONGEST_CHAIN = 10
_PROXY_INFORMATION = "1.3.6.1.5.5.7.1.14"
#: X509_V_FLAG_ALLOW_PROXY_CERTS and X509_V_FLAG_CRL_CHECK of OpenSSL.
_ALLOW_PROXIES, _CHECK_CRL = 0x40, 0x4


def load(pem: Sequence[bytes]) -> "list[Certificate]":
    """Raises Refused when one of them is none."""
    try:
        from cryptography import x509
    except ImportError as error:
        raise DriverError(MISSING) from error
    if not 1 <= len(pem) <= LONGEST_CHAIN:
        raise Refused(f"the token brings {len(pem)} certificates; from 1 to {LONGEST_CHAIN} are expected")
    try:
        return [x509.load_pem_x509_certificate(text) for text in pem]
    except ValueError as error:
        raise Refused("the token brings something that is no certificate") from error


def name(certificate: "Certificate") -> str:
    """The subject as a PASSWORD has it."""
    parts = ([(a.oid.dotted_string, str(a.value)) for a in rdn] for rdn in certificate.subject.rdns)
    return distinguished_name.stored(distinguished_name.oneline(parts))


def owner(
    chain: "Sequence[Certificate]", ca_dir: Path, now: int, *, check_crl: bool = False
) -> "Certificate":
    """The certificate of the person at the beginning of a chain that ends at one of `ca_dir`'s authorities.

    It is the first that is no proxy (RFC 3820): what it signed is taken for it, and only as a proxy. With
    `check_crl` its authority must have a revocation list there; one that is there is looked at anyway.
    Raises Refused.
    """
    if not ca_dir.is_dir():
        raise DriverError(f"there is no directory {ca_dir} with the certificates of trusted authorities")
    verified = _verified(chain, ca_dir, now, _ALLOW_PROXIES)
    place = next(number for number, found in enumerate(verified) if not _is_proxy(found))
    person = verified[place]
    issuer = verified[min(place + 1, len(verified) - 1)]
    if check_crl or (ca_dir / f"{_name_hash(issuer)}.r0").exists():
        _verified([person, *verified[place + 1 :]], ca_dir, now, _CHECK_CRL)
    return person


def ends(chain: "Sequence[Certificate]") -> int:
    """The epoch at which the first of them ends."""
    return int(min(certificate.not_valid_after_utc for certificate in chain).timestamp())


def _verified(chain: "Sequence[Certificate]", ca_dir: Path, now: int, flags: int) -> "list[Certificate]":
    try:
        from OpenSSL import crypto
    except ImportError as error:
        raise DriverError(MISSING) from error
    store = crypto.X509Store()
    store.set_flags(flags)
    store.set_time(datetime.fromtimestamp(now, UTC))
    store.load_locations(None, str(ca_dir))
    leaf, *others = (crypto.X509.from_cryptography(certificate) for certificate in chain)
    context = crypto.X509StoreContext(store, leaf, others)
    try:
        return [found.to_cryptography() for found in context.get_verified_chain()]
    except crypto.X509StoreContextError as error:
        raise Refused(f"the certificate is not accepted: {error}") from error


def _is_proxy(certificate: "Certificate") -> bool:
    return any(extension.oid.dotted_string == _PROXY_INFORMATION for extension in certificate.extensions)


def _name_hash(certificate: "Certificate") -> str:
    from OpenSSL import crypto

    return f"{crypto.X509.from_cryptography(certificate).subject_name_hash():08x}"
