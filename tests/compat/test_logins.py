"""Logging in to a whole cloud with the commands: keys, certificates, a directory, services, tokens."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.compat.api import ADMIN, Api, sandbox_with
from tests.drivers.auth import slapd
from tests.drivers.auth.authority import KEYS, Issued, issue, name
from tests.drivers.auth.slapd import SUFFIX, Slapd

from merope.client import tokens

pytestmark = pytest.mark.xdist_group("slapd")

CONFIG = """\
AUTH_MAD = [ EXECUTABLE = "one_auth_mad", AUTHN = "plain,ssh,x509,ldap,server_cipher,server_x509" ]
DEFAULT_AUTH = "ldap"
LOG = [ DEBUG_LEVEL = 3 ]
"""
PROXY_DAYS = 1


@dataclass
class World:
    endpoint: str
    home: Path
    person: Path
    """The home directory of who types the commands."""
    ann: Issued
    proxy: Issued
    admin: Api

    def run(self, *words: str, auth: str = ADMIN, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """A command; `auth` is user:password, or the path of a file with it."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.person),
            "ONE_XMLRPC": self.endpoint,
            "ONE_AUTH": auth,
            "LANG": "C.UTF-8",
        }
        return subprocess.run(
            [sys.executable, "-m", "merope.cli.main", *words],
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def ok(self, *words: str, auth: str = ADMIN, stdin: str = "") -> str:
        done = self.run(*words, auth=auth, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str, auth: str = ADMIN) -> str:
        done = self.run(*words, auth=auth)
        assert done.returncode != 0, done.stdout
        return done.stderr + done.stdout

    def log(self) -> str:
        time.sleep(0.3)  # what the log of calls holds back
        return "".join(path.read_text("utf-8", "replace") for path in self.home.glob("*.log"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd | None]:
    if slapd.SLAPD is None:
        yield None
        return
    with slapd.running(tmp_path_factory.mktemp("slapd") / "home") as made:
        made.person("lena", "lena secret")
        yield made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, directory: Slapd | None) -> Iterator[World]:
    base, person = tmp_path_factory.mktemp("cloud"), tmp_path_factory.mktemp("person")
    root = issue(name("Root"), KEYS[0], authority=True)
    root.put(base / "auth" / "certificates")
    port = 1 if directory is None else directory.ldap
    (base / "auth" / "ldap_auth.conf").write_text(
        f"server 1:\n    :host: 127.0.0.1\n    :port: {port}\n    :base: '{SUFFIX}'\n"
        "    :user_field: uid\n    :mapping_default: 1\n:order:\n    - server 1\n"
    )
    ann = issue(name("Ann Lee"), KEYS[1], root)
    proxy = issue(name("Ann Lee", "1"), KEYS[2], ann, proxy=True, days=2)
    (person / "cert.pem").write_text(ann.pem)
    (person / "key.pem").write_text(ann.key_pem)
    (person / "proxy.pem").write_text(proxy.pem + proxy.key_pem + ann.pem)
    (person / ".ssh").mkdir()
    for path, kind in ((".ssh/id_rsa", "rsa"), ("other_key", "rsa"), ("ed_key", "ed25519")):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(person / path)], check=True)
    with sandbox_with(base / "home", CONFIG) as endpoint, Api(endpoint) as admin:
        yield World(endpoint, base / "home", person, ann, proxy, admin)


def test_a_user_of_an_ssh_key_logs_in_and_works_with_the_token(world: World) -> None:
    world.ok("oneuser", "create", "sam", "--ssh", "--key", str(world.person / ".ssh/id_rsa"))
    shown = world.ok("oneuser", "show", "sam")
    assert world.ok("oneuser", "key").strip() in shown.replace("\n", "")
    auth = str(world.person / "sam_auth")
    out = world.ok("oneuser", "login", "sam", "--ssh", "--time", "600", "--force", auth=auth)
    assert out == f"Authentication token stored in {auth}\n"
    assert os.stat(auth).st_mode & 0o777 == 0o600
    assert "sam" in world.ok("oneuser", "show", auth=auth)
    token = Path(auth).read_text().strip().partition(":")[2]
    assert "sam" in world.ok("oneuser", "show", "--user", "sam", "--password", token)
    other = ("oneuser", "login", "sam", "--ssh", "--force", "--key", str(world.person / "other_key"))
    assert "couldn't be authenticated" in world.refused(*other, auth=auth)
    assert Path(auth).read_text().strip().partition(":")[2] == token


def test_a_key_of_another_kind_is_refused_with_the_reason(world: World) -> None:
    path = str(world.person / "ed_key")
    assert "signed with RSA keys" in world.refused("oneuser", "create", "ed", "--ssh", "--key", path)


def test_a_user_of_a_certificate_logs_in_by_it_and_by_a_proxy(world: World) -> None:
    world.ok("oneuser", "create", "carol", "--x509", "--cert", str(world.person / "cert.pem"))
    auth = str(world.person / "carol_auth")
    cert, key = str(world.person / "cert.pem"), str(world.person / "key.pem")
    world.ok("oneuser", "login", "carol", "--x509", "--cert", cert, "--key", key, "--force", auth=auth)
    assert "carol" in world.ok("oneuser", "show", auth=auth)
    proxy = str(world.person / "proxy.pem")
    world.ok("oneuser", "login", "carol", "--x509_proxy", "--proxy", proxy, "--force", auth=auth)
    assert "carol" in world.ok("oneuser", "show", auth=auth)
    world.ok("oneuser", "create", "mallory", "--x509", "/CN=Somebody else")
    assert "/CN=Somebody\\20else" in world.ok("oneuser", "show", "mallory")
    refusal = world.refused(
        "oneuser", "login", "mallory", "--x509", "--cert", cert, "--key", key, "--force", auth=auth
    )
    assert "couldn't be authenticated" in refusal


def test_a_user_changes_to_another_driver_and_back(world: World) -> None:
    world.ok("oneuser", "create", "tom", "--stdin", stdin="tom-secret\n")
    assert "tom" in world.ok("oneuser", "show", auth="tom:tom-secret")
    world.ok("oneuser", "chauth", "tom", "--ssh", "--key", str(world.person / ".ssh/id_rsa"))
    assert "couldn't be authenticated" in world.refused("oneuser", "show", auth="tom:tom-secret")
    auth = str(world.person / "tom_auth")
    world.ok("oneuser", "login", "tom", "--ssh", "--force", auth=auth)
    world.ok("oneuser", "chauth", "tom", "core", "--stdin", stdin="tom-secret\n")
    assert "tom" in world.ok("oneuser", "show", auth="tom:tom-secret")


def test_a_token_for_one_group_acts_for_that_group(world: World) -> None:
    gid = world.admin("one.group.allocate", "web")
    world.admin("one.user.allocate", "gina", "gina-secret", "", [1, gid])
    done = world.ok("oneuser", "token-create", "gina", "--group", "web", "--password", "gina-secret",
                    "--user", "gina")  # fmt: skip
    auth = done.strip().partition("=")[2]
    assert world.ok("onegroup", "show", auth=auth).count("web") >= 1
    with Api(world.endpoint, Path(auth).read_text().strip()) as api:
        assert api.refused("one.user.info", 0).code == 512
    prefix = Path(auth).name.partition(".")[0]
    world.ok("oneuser", "token-delete", prefix, auth="gina:gina-secret")
    assert "couldn't be authenticated" in world.refused("oneuser", "show", auth=auth)


def test_commands_take_user_password_and_endpoint(world: World) -> None:
    words = ("--user", "oneadmin", "--password", "opennebula", "--endpoint", world.endpoint)
    assert "STAT" in world.ok("onevm", "list", *words, auth="/nonexistent")
    wrong = ("--user", "oneadmin", "--password", "wrong", "--endpoint", world.endpoint)
    assert "couldn't be authenticated" in world.refused("onevm", "list", *wrong, auth="/nonexistent")


def test_the_services_files_that_were_made_with_the_cloud_let_them_act_for_users(world: World) -> None:
    for service in ("sunstone", "onegate", "oneflow", "ec2", "occi"):
        path = world.home / ".one" / f"{service}_auth"
        assert path.stat().st_mode & 0o777 == 0o600
        user, _, password = path.read_text().strip().partition(":")
        session = tokens.server_cipher_session(user, password, "oneadmin", int(time.time()) + 60)
        with Api(world.endpoint, session) as api:
            assert "<NAME>oneadmin</NAME>" in api("one.user.info", -1)


def test_a_user_of_the_directory_is_made_at_the_first_login(world: World, directory: Slapd | None) -> None:
    if directory is None:
        pytest.skip("slapd is not installed (Debian's package slapd; scripts/setup.sh all)")
    pytest.importorskip("ldap", reason="python-ldap is not installed (the extra `ldap`)")
    assert "couldn't be authenticated" in world.refused("oneuser", "show", auth="lena:wrong")
    assert "ldap" in world.ok("oneuser", "show", auth="lena:lena%20secret")
    auth = str(world.person / "lena_auth")
    world.ok("oneuser", "login", "lena", "--stdin_password", "--force", auth=auth, stdin="lena%20secret\n")
    assert "lena" in world.ok("oneuser", "show", auth=auth)


def test_no_secret_of_a_login_is_in_a_log(world: World) -> None:
    secrets = [path.read_text().strip().partition(":")[2] for path in world.person.glob("*_auth")]
    secrets += ["tom-secret", "gina-secret", "lena%20secret", "lena secret"]
    assert len(secrets) >= 5
    log = world.log()
    assert "one.user.info" in log
    assert [secret[:6] for secret in secrets if secret in log] == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("auth/ldap_auth.conf", "s:\n    :hots: x\n", ":2: unknown option :hots (did you mean :host:?)"),
        ("auth/ldap_auth.conf", "s:\n  :base: x\n  :port: many\n:order: [s]\n", ":3: :port must be"),
        ("auth/x509_auth.conf", ":ca_dir: certs\n", ":1: :ca_dir must be an absolute path"),
        ("oned.conf", 'AUTH_MAD = [ EXECUTABLE = "x", AUTHN = "nothing" ]', "no executable"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_refused_at_the_start(
    tmp_path: Path, file: str, text: str, said: str
) -> None:
    path = tmp_path / "etc" / file
    path.parent.mkdir(parents=True)
    (tmp_path / "etc" / "oned.conf").write_text("")
    path.write_text(text)
    where = ["--home", str(tmp_path / "home"), "--config", str(tmp_path / "etc" / "oned.conf")]
    command = [sys.executable, "-m", "merope.daemon.core", *where, "--drivers", "dummy", "--port", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert said in done.stderr
