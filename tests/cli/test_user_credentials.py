"""oneuser with keys and certificates: what is sent for them, and what is said when they are of no use."""

import hashlib
import subprocess
import time
from pathlib import Path

import pytest
from tests.cli.recorded import FakeCloud, Outcome, Screen, command
from tests.drivers.auth.authority import KEYS, issue, name

from merope.client import tokens
from merope.drivers.auth.base import Places
from merope.drivers.auth.ssh import SshDriver
from merope.drivers.auth.x509 import X509Driver
from merope.model.authentication import Credentials

ANN = "/O=Clouds\\20&\\20Co/CN=Ann\\20Lee"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an ssh key, a certificate with its key, and a proxy; ONE_AUTH in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ONE_AUTH", str(tmp_path / "auth"))
    root = issue(name("Root"), KEYS[0], authority=True)
    root.put(tmp_path / "etc" / "auth" / "certificates")
    ann = issue(name("Ann Lee"), KEYS[1], root)
    proxy = issue(name("Ann Lee", "1"), KEYS[2], ann, proxy=True)
    (tmp_path / "cert.pem").write_text("Bag Attributes\n" + ann.pem)
    (tmp_path / "key.pem").write_text(ann.key_pem)
    (tmp_path / "proxy.pem").write_text(proxy.pem + proxy.key_pem + ann.pem)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa").write_text(ann.key_pem)
    return tmp_path


def login(line: str, **environ: str) -> tuple[Outcome, str]:
    """The outcome, and the secret with which the login token was asked for."""
    cloud = FakeCloud({"one.user.login": "t0ken"})
    outcome = command(line, cloud, Screen(environ=environ))
    return outcome, cloud.sessions[0].partition(":")[2] if cloud.sessions else ""


def created(line: str | list[str], screen: Screen | None = None) -> tuple[object, ...]:
    cloud = FakeCloud({"one.user.allocate": 7, "one.user.passwd": 7, "one.user.chauth": 7})
    outcome = command(line, cloud, screen)
    assert outcome.code == 0, outcome.err
    return cloud.calls[0].arguments


def test_login_by_an_ssh_key_sends_a_token_that_the_driver_accepts(files: Path) -> None:
    outcome, secret = login("oneuser login ann --ssh --force")
    assert outcome.code == 0, outcome.err
    stored = tokens.public_key(tokens.load_key((files / "key.pem").read_bytes()))
    places = Places(files / "etc", files)
    answer = SshDriver(places).authenticate(Credentials("ann", stored, secret, int(time.time())))
    assert 0 < answer.expires - time.time() <= 300
    assert (files / "auth").read_text() == "ann:t0ken\n"


@pytest.mark.parametrize(
    ("line", "environ"),
    [
        ("oneuser login ann --force --x509 --cert {0}/cert.pem --key {0}/key.pem", {}),
        ("oneuser login ann --force --x509 -c {0}/cert.pem -k {0}/key.pem", {}),
        ("oneuser login ann --force --driver x509 --cert {0}/cert.pem --key {0}/key.pem", {}),
        (
            "oneuser login ann --force --x509",
            {"X509_USER_CERT": "{0}/cert.pem", "X509_USER_KEY": "{0}/key.pem"},
        ),
        ("oneuser login ann --force --x509_proxy --proxy {0}/proxy.pem", {}),
        ("oneuser login ann --force --proxy {0}/proxy.pem", {}),
        ("oneuser login ann --force --x509_proxy", {"X509_PROXY_CERT": "{0}/proxy.pem"}),
    ],
)
def test_login_by_a_certificate_sends_a_token_that_the_driver_accepts(
    files: Path, line: str, environ: dict[str, str]
) -> None:
    outcome, secret = login(
        line.format(files), **{key: value.format(files) for key, value in environ.items()}
    )
    assert outcome.code == 0, outcome.err
    driver = X509Driver(Places(files / "etc", files))
    assert driver.authenticate(Credentials("ann", ANN, secret, int(time.time()))).expires > time.time()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("oneuser login ann --x509", "--cert and --key are needed"),
        ("oneuser login ann --ssh --key {0}/nothing", "nothing cannot be read"),
        ("oneuser login ann --ssh --key {0}/cert.pem", "no private key"),
        ("oneuser login ann --x509 --cert {0}/key.pem --key {0}/key.pem", "no certificate in the file"),
        ("oneuser login ann --proxy {0}/cert.pem", "has no private key"),
        ("oneuser login ann --ssh --x509", "One way to authenticate is expected, not ssh and x509"),
        ("oneuser login ann --ssh --driver ldap", "One way to authenticate is expected, not ssh and ldap"),
        ("oneuser create ann --x509 --cert {0}/key.pem", "no certificate in PEM"),
    ],
)
def test_files_of_no_use_are_told_and_nothing_is_sent(files: Path, line: str, said: str) -> None:
    outcome, secret = login(line.format(files))
    assert outcome.code != 0
    assert said in outcome.err
    assert secret == ""
    assert not (files / "auth").exists()


def test_an_encrypted_key_asks_for_its_passphrase(files: Path) -> None:
    path = str(files / ".ssh" / "id_rsa")
    (files / ".ssh" / "id_rsa").chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", path], check=True)
    cloud = FakeCloud({"one.user.login": "t0ken"})
    assert command("oneuser login ann --ssh --force", cloud, Screen(keys=("open sesame",))).code == 0
    wrong = command("oneuser login ann --ssh --force", cloud, Screen(keys=("close sesame",)))
    assert (wrong.code != 0, "not the passphrase" in wrong.err) == (True, True)


def test_a_user_of_a_key_or_a_certificate_is_stored_with_what_identifies_it(files: Path) -> None:
    key = tokens.public_key(tokens.load_key((files / "key.pem").read_bytes()))
    assert command("oneuser key", FakeCloud()).out == key + "\n"
    assert created(f"oneuser create ann --ssh --key {files}/key.pem") == ("ann", key, "ssh")
    assert created(f"oneuser create ann --x509 --cert {files}/cert.pem") == ("ann", ANN, "x509")
    assert created(f"oneuser chauth 7 --ssh --key {files}/key.pem") == (7, "ssh", key)
    assert created(f"oneuser chauth 7 x509 --cert {files}/cert.pem") == (7, "x509", ANN)
    assert created(f"oneuser passwd 7 --ssh --key {files}/key.pem") == (7, key)


def test_a_name_and_a_services_password_are_stored_as_their_drivers_want_them() -> None:
    assert created(["oneuser", "create", "ann", "--x509", "/CN=Ann Lee"]) == ("ann", "/CN=Ann\\20Lee", "x509")
    digest = hashlib.sha256(b"secret").hexdigest()
    assert created("oneuser create app secret --driver server_cipher") == ("app", digest, "server_cipher")
    assert created("oneuser create ann secret --driver ldap") == ("ann", "secret", "ldap")
