"""The home of a cloud: what is made, what is refused."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from merope.daemon.layout import Layout, UnsafeError, default_home, is_loopback


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    umask = os.umask(0)
    os.umask(umask)
    yield Layout(tmp_path / "var")
    os.umask(umask)


def create(layout: Layout, sandbox: bool) -> None:
    with layout.claimed():
        layout.create(sandbox)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_the_owner_can_enter_or_read_anything(layout: Layout) -> None:
    os.umask(0)
    create(layout, sandbox=False)
    for path in [layout.home, *layout.home.rglob("*")]:
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert os.umask(0o077) == 0o077


def test_a_real_cloud_gets_a_password_that_nobody_can_guess(layout: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    create(layout, sandbox=False)
    create(other, sandbox=False)
    user, _, password = layout.login().partition(":")
    assert user == "oneadmin"
    assert len(password) >= 20
    assert layout.login() != other.login()


def test_a_sandbox_has_the_password_that_everybody_knows(layout: Layout) -> None:
    create(layout, sandbox=True)
    assert layout.login() == "oneadmin:opennebula"


def test_making_it_again_keeps_password_and_key(layout: Layout) -> None:
    create(layout, sandbox=False)
    before = layout.login(), layout.key_file.read_text()
    create(layout, sandbox=False)
    assert (layout.login(), layout.key_file.read_text()) == before


def test_a_password_that_someone_chose_beforehand_is_kept(layout: Layout) -> None:
    layout.auth_file.parent.mkdir(parents=True, mode=0o700)
    layout.auth_file.write_text("oneadmin:chosen\n")
    layout.auth_file.chmod(0o600)
    create(layout, sandbox=False)
    assert layout.login() == "oneadmin:chosen"


def test_a_home_that_others_can_write_is_refused(layout: Layout) -> None:
    layout.home.mkdir()
    layout.home.chmod(0o777)
    with pytest.raises(UnsafeError, match=r"can be written by others: chmod go-w"):
        create(layout, sandbox=False)


def test_a_login_that_others_can_read_is_refused(layout: Layout) -> None:
    create(layout, sandbox=False)
    layout.auth_file.chmod(0o644)
    with pytest.raises(UnsafeError, match=r"one_auth is a secret that others can read: chmod 600"):
        create(layout, sandbox=False)


def test_a_home_that_is_a_file_is_refused(layout: Layout) -> None:
    layout.home.write_text("")
    with pytest.raises(UnsafeError, match="is not a directory"):
        create(layout, sandbox=False)


def test_a_directory_with_other_files_is_refused(layout: Layout) -> None:
    layout.home.mkdir(mode=0o700)
    (layout.home / "thesis.tex").write_text("")
    with pytest.raises(UnsafeError, match="has files that are no cloud's"):
        create(layout, sandbox=True)
    assert not layout.run.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_the_home_of_another_user_is_refused(layout: Layout) -> None:
    layout.home.mkdir(mode=0o700)
    os.chown(layout.home, 65534, 65534)
    with pytest.raises(UnsafeError, match="belongs to nobody, and this is root"):
        create(layout, sandbox=False)


def test_simulated_drivers_never_run_a_real_cloud(layout: Layout) -> None:
    create(layout, sandbox=False)
    layout.database.touch()
    with pytest.raises(UnsafeError, match="has a real cloud"):
        create(layout, sandbox=True)


def test_a_sandbox_never_becomes_a_real_cloud(layout: Layout) -> None:
    create(layout, sandbox=True)
    layout.database.touch()
    with pytest.raises(UnsafeError, match="has a sandbox"):
        create(layout, sandbox=False)


def test_the_known_password_of_a_sandbox_that_never_started_does_not_stay(layout: Layout) -> None:
    create(layout, sandbox=True)
    create(layout, sandbox=False)
    assert layout.login() != "oneadmin:opennebula"
    assert not layout.sandbox_mark.exists()


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "127.evil.example", "example.org"])
def test_a_sandbox_is_for_this_machine_only(layout: Layout, address: str) -> None:
    create(layout, sandbox=True)
    with pytest.raises(UnsafeError, match="loopback addresses only"):
        layout.check_address(address, sandbox=True)


def test_the_sandbox_password_is_never_offered_to_others(layout: Layout) -> None:
    create(layout, sandbox=True)
    with pytest.raises(UnsafeError, match="everybody knows: change it"):
        layout.check_address("0.0.0.0", sandbox=False)


def test_a_real_cloud_may_listen_where_it_is_told(layout: Layout) -> None:
    create(layout, sandbox=False)
    layout.check_address("0.0.0.0", sandbox=False)
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")


def test_the_home_is_that_of_one_location(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    assert default_home() == tmp_path / "var"


def test_the_home_is_the_cloud_above_the_current_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ONE_LOCATION", raising=False)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert default_home() == below / "var"
    (tmp_path / "var" / ".one").mkdir(parents=True)
    (tmp_path / "var" / ".one" / "one_auth").touch()
    assert default_home() == tmp_path / "var"


def test_the_socket_has_a_short_name_however_long_the_home(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ("x" * 120) / "var")
    layout.run.mkdir(parents=True)
    with layout.short_socket_path() as path:
        assert len(path) < 60
        Path(path).touch()
    assert layout.supervisor_socket.exists()


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_kind_of_a_cloud_whose_database_is_a_servers_never_changes(layout: Layout, sandbox: bool) -> None:
    create(layout, sandbox)
    layout.options.write_text("{}")
    login = layout.login()
    with layout.claimed(), pytest.raises(UnsafeError, match=r"[Gg]ive another --home"):
        layout.create(not sandbox, served=True)
    assert layout.login() == login
