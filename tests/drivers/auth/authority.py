"""Certificates for tests: authorities, people's and servers' certificates, proxies and revocation lists."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier
from OpenSSL import crypto

PROXY_INFORMATION = ObjectIdentifier("1.3.6.1.5.5.7.1.14")
#: ProxyCertInfo { proxyPolicy { policyLanguage id-ppl-inheritAll } } in DER.
_INHERIT_ALL = bytes.fromhex("300c300a06082b06010505071501")
#: Made once: keys take a second.
KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(5)]


def name(common: str, *more: str) -> x509.Name:
    """/O=Clouds & Co/CN=common[/CN=…]"""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Clouds & Co")]
    return x509.Name(parts + [x509.NameAttribute(NameOID.COMMON_NAME, text) for text in (common, *more)])


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()

    def put(self, ca_dir: Path) -> Path:
        """Into a directory of authorities, under the name by which OpenSSL looks for it."""
        ca_dir.mkdir(parents=True, exist_ok=True)
        path = ca_dir / f"{_hash(self.certificate)}.0"
        path.write_text(self.pem)
        return path

    def revoke(self, ca_dir: Path, *revoked: "Issued", days: int = 30, now: int | None = None) -> Path:
        """A revocation list of this authority, in its directory."""
        at = _time(now)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(at - datetime.timedelta(days=40))
            .next_update(at + datetime.timedelta(days=days))
        )
        for other in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(other.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(at).build())
        path = ca_dir / f"{_hash(self.certificate)}.r0"
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path


def issue(
    subject: x509.Name,
    key: rsa.RSAPrivateKey,
    by: Issued | None = None,
    *,
    authority: bool = False,
    proxy: bool = False,
    begin: int = -1,
    days: int = 365,
    hosts: tuple[str, ...] = (),
    now: int | None = None,
) -> Issued:
    """A certificate by an authority (or anybody else), or by itself; valid from `begin` days from `now`."""
    start = _time(now) + datetime.timedelta(days=begin)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
    )
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    if proxy:
        extension = x509.UnrecognizedExtension(PROXY_INFORMATION, _INHERIT_ALL)
        builder = builder.add_extension(extension, critical=True)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(h) for h in hosts]), False)
    return Issued(builder.sign(key if by is None else by.key, hashes.SHA256()), key)


def _time(now: int | None) -> datetime.datetime:
    if now is None:
        return datetime.datetime.now(datetime.UTC)
    return datetime.datetime.fromtimestamp(now, datetime.UTC)


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _hash(certificate: x509.Certificate) -> str:
    return f"{crypto.X509.from_cryptography(certificate).subject_name_hash():08x}"
