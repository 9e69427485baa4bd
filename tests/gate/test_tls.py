"""Services beside the core serve HTTPS where they are given a certificate."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from merope.services.web import Counted, application, tls


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, secret


async def test_https_is_served_with_the_certificate(pair: tuple[Path, Path]) -> None:
    app = application(Counted("some"), lambda: "", lambda: iter(()))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls(*map(str, pair)))
    await site.start()
    port = runner.addresses[0][1]
    trusted = ssl.create_default_context(cafile=str(pair[0]))
    url = f"https://localhost:{port}/health"
    async with ClientSession() as session, session.get(url, ssl=trusted) as reply:
        assert (reply.status, await reply.text()) == (200, "OK\n")
    await runner.cleanup()
    await asyncio.sleep(0)


def test_without_a_certificate_it_is_plain_http() -> None:
    assert tls("", "") is None
