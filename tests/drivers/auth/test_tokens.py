"""What clients sign is what drivers accept, and both are what OpenSSL makes of the original's words."""

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.drivers.auth.authority import KEYS, issue, name
from tests.drivers.auth.conftest import NOW

from merope.client import ClientError, tokens
from merope.drivers.auth.base import Places, Refused
from merope.drivers.auth.server_cipher import ServerCipherDriver
from merope.drivers.auth.server_x509 import ServerX509Driver
from merope.drivers.auth.ssh import SshDriver
from merope.model.authentication import Credentials

SERVICE_PASSWORD = "0f1e2d3c4b5a"
STORED = hashlib.sha256(SERVICE_PASSWORD.encode()).hexdigest()


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def service(secret: str, target: str = "ann", egid: int = -1, stored: str = STORED) -> Credentials:
    return Credentials("serveradmin", stored, secret, NOW, target, egid)


@pytest.mark.runs("auth/server_cipher", "authenticate")
def test_a_services_token_is_the_cipher_that_openssl_makes(places: Places) -> None:
    text = f"serveradmin:ann:{NOW + 60}".encode()
    key, iv = STORED[:32].encode().hex(), "00" * 16
    made = base64.b64encode(openssl("enc", "-aes-256-cbc", "-K", key, "-iv", iv, data=text)).decode()
    session = tokens.server_cipher_session("serveradmin", SERVICE_PASSWORD, "ann", NOW + 60)
    assert session == f"serveradmin:ann:{made}"
    assert ServerCipherDriver(places).authenticate(service(made)).expires == NOW + 60


def test_a_services_token_may_be_for_one_group_of_the_user(places: Places) -> None:
    driver = ServerCipherDriver(places)
    limited = tokens.server_cipher_session("serveradmin", SERVICE_PASSWORD, "ann:100", NOW + 60)
    secret = limited.rpartition(":")[2]
    assert driver.authenticate(service(secret, egid=100)).expires == NOW + 60
    for egid in (-1, 101):
        with pytest.raises(Refused, match="another user or group"):
            driver.authenticate(service(secret, egid=egid))
    whole = tokens.server_cipher_session("serveradmin", SERVICE_PASSWORD, "ann", NOW + 60).rpartition(":")[2]
    assert driver.authenticate(service(whole, egid=100)).expires == NOW + 60


@pytest.mark.parametrize("stored", ["", "short", "a" * 31, "ä" * 32])
def test_a_services_key_has_32_characters(places: Places, stored: str) -> None:
    session = tokens.server_cipher_session("serveradmin", SERVICE_PASSWORD, "ann", NOW + 60)
    with pytest.raises(Refused, match="the key takes 32 ASCII characters"):
        ServerCipherDriver(places).authenticate(service(session.rpartition(":")[2], stored=stored))


def test_of_a_longer_key_the_first_32_characters_count(places: Places) -> None:
    session = tokens.server_cipher_session("serveradmin", SERVICE_PASSWORD, "ann", NOW + 60)
    secret = session.rpartition(":")[2]
    for stored in (STORED[:32], STORED[:32] + "z" * 100):
        assert ServerCipherDriver(places).authenticate(service(secret, stored=stored)).expires == NOW + 60


@pytest.mark.runs("auth/ssh", "authenticate")
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_keys_of_ssh_keygen_make_the_token_that_openssl_makes(
    places: Places, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "id_rsa"
    command = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-m", form, "-f", str(path)]
    subprocess.run(command, check=True)
    key = tokens.load_key(path.read_bytes())
    token = tokens.user_token(key, "ann", NOW + 60)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "", "-m", "PEM", "-f", str(path)], check=True)
    text = f"ann:{NOW + 60}".encode()
    assert token == base64.b64encode(openssl("pkeyutl", "-sign", "-inkey", str(path), data=text)).decode()
    public = openssl("rsa", "-pubout", "-in", str(path)).decode()
    stored = "".join(line for line in public.splitlines() if "PUBLIC KEY" not in line)
    assert tokens.public_key(key) == stored
    answer = SshDriver(places).authenticate(Credentials("ann", stored, token, NOW))
    assert answer.expires == NOW + 60


def test_an_encrypted_key_takes_its_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "id_rsa"
    command = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "open sesame", "-f", str(path)]
    subprocess.run(command, check=True)
    data = path.read_bytes()
    assert tokens.public_key(tokens.load_key(data, lambda: "open sesame"))
    with pytest.raises(ClientError, match="not the passphrase"):
        tokens.load_key(data, lambda: "close sesame")
    with pytest.raises(ClientError, match="its passphrase is needed"):
        tokens.load_key(data)


def test_keys_that_are_not_rsa_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    with pytest.raises(ClientError, match="signed with RSA keys"):
        tokens.load_key(path.read_bytes())
    with pytest.raises(ClientError, match="no private key"):
        tokens.load_key(b"-----BEGIN NONSENSE-----")


def test_a_certificates_name_is_what_openssl_prints_with_its_blanks_escaped(tmp_path: Path) -> None:
    made = issue(name("Ann Lee, née Ω / + =", "proxy 1"), KEYS[0])
    path = tmp_path / "cert.pem"
    path.write_text(made.pem)
    printed = openssl("x509", "-noout", "-subject", "-nameopt", "compat", "-in", str(path)).decode()
    expected = printed.strip().removeprefix("subject=").replace(" ", "\\20")
    assert tokens.certificate_name(made.pem.encode()) == expected


@pytest.mark.runs("auth/server_x509", "authenticate")
def test_a_service_signs_with_the_clouds_certificate(places: Places) -> None:
    made = issue(name("services"), KEYS[0], now=NOW)
    auth = places.etc / "auth"
    (auth / "cert.pem").write_text(made.pem)
    (auth / "server_x509_auth.conf").write_text(":srv_user: serveradmin\n")
    session = tokens.server_x509_session(made.key, "serveradmin", "ann", NOW + 60)
    stored = tokens.certificate_name(made.pem.encode())
    answer = ServerX509Driver(places).authenticate(
        Credentials("serveradmin", stored, session.rpartition(":")[2], NOW, "ann")
    )
    assert answer.expires == NOW + 60
