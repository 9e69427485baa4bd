"""Where the endpoint and the credentials are found, and which place wins."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from merope.client.discovery import (
    DEFAULT_ENDPOINT,
    Cloud,
    Places,
    auth_file,
    find_cloud,
    find_endpoint,
    timeout_of,
)
from merope.client.errors import ClientError, NoCredentials

HERE = "http://127.0.0.1:4001/RPC2"


class Machine:
    """A home directory and a working directory, both empty at first."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.cwd = root / "work" / "deep"
        self.root = root
        for directory in (self.home, self.cwd):
            directory.mkdir(parents=True)

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def make_cloud(self, directory: Path, endpoint: str = HERE, auth: str = "oneadmin:here") -> None:
        self.write(directory / "var" / "endpoint", endpoint + "\n")
        self.write(directory / "var" / ".one" / "one_auth", auth + "\n")

    def places(self, environ: Mapping[str, str] | None = None) -> Places:
        return Places(environ or {}, str(self.home), str(self.cwd), str(self.root / "no-system-auth"))

    def find(self, environ: Mapping[str, str] | None = None, **options: str) -> tuple[str, str]:
        cloud = find_cloud(
            options.get("endpoint"), options.get("user"), options.get("password"), self.places(environ)
        )
        return cloud.endpoint, cloud.auth


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_cloud_of_the_directory_is_found_from_below_it(machine: Machine) -> None:
    machine.make_cloud(machine.root / "work")
    assert machine.find() == (HERE, "oneadmin:here")


def test_the_nearest_cloud_is_the_one(machine: Machine) -> None:
    machine.make_cloud(machine.root / "work", "http://far/RPC2")
    machine.make_cloud(machine.cwd)
    assert machine.find()[0] == HERE


def test_one_location_names_the_cloud(machine: Machine) -> None:
    machine.make_cloud(machine.root / "work", "http://far/RPC2")
    machine.make_cloud(machine.root / "opt")
    assert machine.find({"ONE_LOCATION": str(machine.root / "opt")}) == (HERE, "oneadmin:here")


def test_the_directory_cloud_is_not_sent_the_password_of_the_home(machine: Machine) -> None:
    machine.make_cloud(machine.cwd)
    machine.write(machine.home / ".one" / "one_auth", "ann:home")
    assert machine.find() == (HERE, "oneadmin:here")


def test_the_endpoint_of_the_home_wins_over_the_directory(machine: Machine) -> None:
    machine.make_cloud(machine.cwd)
    machine.write(machine.home / ".one" / "one_endpoint", "http://home/RPC2\n")
    machine.write(machine.home / ".one" / "one_auth", "ann:home\n")
    assert machine.find() == ("http://home/RPC2", "ann:home")


def test_the_environment_wins_over_files(machine: Machine) -> None:
    machine.make_cloud(machine.cwd)
    machine.write(machine.home / ".one" / "one_endpoint", "http://home/RPC2")
    auth = machine.write(machine.root / "my_auth", "bob:secret")
    assert machine.find({"ONE_XMLRPC": "http://env/RPC2", "ONE_AUTH": str(auth)}) == (
        "http://env/RPC2",
        "bob:secret",
    )


def test_options_win_over_the_environment(machine: Machine) -> None:
    environ = {"ONE_XMLRPC": "http://env/RPC2", "ONE_AUTH": "bob:secret"}
    found = machine.find(environ, endpoint="http://option/RPC2", user="eve", password="p:w")
    assert found == ("http://option/RPC2", "eve:p:w")


def test_one_auth_may_be_the_credentials_themselves(machine: Machine) -> None:
    assert machine.find({"ONE_AUTH": "bob:secret"}) == (DEFAULT_ENDPOINT, "bob:secret")


def test_the_default_is_this_machine(machine: Machine) -> None:
    assert find_endpoint(None, machine.places()) == DEFAULT_ENDPOINT


def test_a_stopped_cloud_is_said_to_be_stopped(machine: Machine) -> None:
    machine.make_cloud(machine.cwd)
    (machine.cwd / "var" / "endpoint").unlink()
    with pytest.raises(NoCredentials, match="does not run: start it with 'one start'"):
        machine.find()


def test_no_credentials_anywhere_says_where_to_put_them(machine: Machine) -> None:
    with pytest.raises(NoCredentials, match=r"~/\.one/one_auth"):
        machine.find()


def test_a_named_file_that_is_absent_is_named(machine: Machine) -> None:
    with pytest.raises(NoCredentials, match="/nowhere/auth"):
        machine.find({"ONE_AUTH": "/nowhere/auth"})


@pytest.mark.parametrize("line", ["oneadmin", ":x", "ann:"])
def test_a_line_that_is_no_user_and_password_is_refused(machine: Machine, line: str) -> None:
    machine.write(machine.home / ".one" / "one_auth", line)
    with pytest.raises(NoCredentials, match="user:password"):
        machine.find()


def test_another_users_var_above_the_directory_is_not_trusted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.make_cloud(machine.root / "work")
    monkeypatch.setattr("os.geteuid", lambda: machine.root.stat().st_uid + 1)
    owner_is_root = machine.root.stat().st_uid == 0
    found = find_endpoint(None, machine.places())
    assert found == (HERE if owner_is_root else DEFAULT_ENDPOINT)


def test_a_password_is_not_shown_by_repr() -> None:
    assert "secret" not in repr(Cloud("http://x/RPC2", "ann:secret"))


def test_a_login_is_kept_where_one_auth_says(machine: Machine) -> None:
    assert auth_file(machine.places({"ONE_AUTH": "/my/file"})) == "/my/file"
    assert auth_file(machine.places()) == str(machine.home / ".one" / "one_auth")


@pytest.mark.parametrize(("text", "seconds"), [("", 60.0), ("5", 5.0), ("0.5", 0.5)])
def test_the_time_out_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert timeout_of({"ONE_XMLRPC_TIMEOUT": text}) == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_what_is_no_time_out_is_refused(text: str) -> None:
    with pytest.raises(ClientError, match="ONE_XMLRPC_TIMEOUT"):
        timeout_of({"ONE_XMLRPC_TIMEOUT": text})
