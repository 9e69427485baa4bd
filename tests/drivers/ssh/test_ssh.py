"""Hosts over SSH, with a real sshd: one connection, clear errors, words that stay words."""

import os
import signal
from pathlib import Path

import pytest
from tests.drivers.ssh.server import Sshd, make_key

from merope.drivers.commands import CommandError
from merope.drivers.errors import DriverError
from merope.drivers.ssh import Ssh, SshSettings, UnreachableError


def test_a_command_gets_its_words_and_its_input(server: Sshd) -> None:
    told = server.ssh.run(
        "node1", ["sh", "-c", 'printf "%s|" "$@"; cat', "sh", "$(id)", "a'b\\", ""], timeout=20, input="in"
    )
    assert told.stdout == "$(id)|a'b\\||in"


def test_commands_share_one_connection_which_outlives_the_listening_sshd(server: Sshd) -> None:
    server.ssh.connect("node1")
    server.stop()
    assert server.ssh.run("node1", ["echo", "still"], timeout=20).stdout == "still\n"


def test_the_connection_is_in_the_run_directory_and_ends_with_close(server: Sshd) -> None:
    server.ssh.connect("node1")
    path = server.ssh.socket_of("node1")
    assert path.is_socket()
    server.ssh.close()
    server.stop()
    with pytest.raises(UnreachableError):
        server.ssh.connect("node1")


def test_a_socket_that_a_dead_master_has_left_is_no_hindrance(server: Sshd) -> None:
    server.ssh.connect("node1")
    server.ssh.disconnect("node1")
    server.ssh.socket_of("node1").touch()
    assert server.ssh.run("node1", ["echo", "hello"], timeout=20).stdout == "hello\n"


def test_a_failure_names_the_command_the_host_the_status_and_the_last_words(server: Sshd) -> None:
    with pytest.raises(CommandError, match=r"^sh on host node1 failed with exit status 3: no$") as caught:
        server.ssh.run("node1", ["sh", "-c", "echo no >&2; exit 3"], timeout=20)
    assert caught.value.status == 3


def test_a_command_that_ends_with_255_is_not_taken_for_a_broken_line(server: Sshd) -> None:
    with pytest.raises(CommandError, match="exit status 254"):
        server.ssh.run("node1", ["sh", "-c", "exit 255"], timeout=20)


def test_a_command_that_takes_too_long_is_ended_on_the_host(server: Sshd, tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="sh on host node1 did not finish within 1 seconds"):
        server.ssh.run("node1", ["sh", "-c", f"echo $$ >{tmp_path}/pid; exec sleep 60"], timeout=1)
    pid = (tmp_path / "pid").read_text().strip()
    assert not Path(f"/proc/{pid}").exists()


def test_a_line_that_breaks_is_said_so_and_what_is_idempotent_is_done_again(
    server: Sshd, tmp_path: Path
) -> None:
    hang_up = f"ssh -F none -o ControlPath={server.ssh.socket_of('node1')} -O exit localhost; sleep 20"
    tries = tmp_path / "tries"
    script = f'echo x >>{tries}; [ "$(wc -l <{tries})" -gt 1 ] || {{ {hang_up}; }}; echo done'
    told = server.ssh.run("node1", ["sh", "-c", script], timeout=20, idempotent=True)
    assert told.stdout == "done\n"
    tries.unlink()
    with pytest.raises(DriverError, match="the connection to host node1 broke while sh ran"):
        server.ssh.run("node1", ["sh", "-c", script], timeout=20)


def test_a_host_where_nothing_listens_is_named_with_the_reason(server: Sshd) -> None:
    server.stop()
    with pytest.raises(
        UnreachableError, match=r"^host node1 cannot be reached by SSH: nothing listens"
    ) as caught:
        server.ssh.connect("node1")
    assert caught.value.retry_safe


def test_a_host_that_does_not_accept_the_key_says_what_to_do(server: Sshd) -> None:
    server.accepted.write_text("")
    with pytest.raises(
        UnreachableError, match=r"it accepts none of our keys; .*ssh-copy-id -f -i .*id_ed25519.pub"
    ):
        server.ssh.connect("node1")


def test_the_cloud_makes_a_key_of_its_own_when_it_has_none(server: Sshd) -> None:
    for path in (server.home / ".ssh").glob("id_*"):
        path.unlink()
    with pytest.raises(UnreachableError, match=r"id_ed25519\.pub"):
        server.ssh.connect("node1")
    server.accepted.write_text((server.home / ".ssh/id_ed25519.pub").read_text())
    server.ssh.connect("node1")


def test_a_host_whose_key_has_changed_is_refused_with_the_remedy(server: Sshd) -> None:
    server.ssh.connect("node1")
    server.ssh.close()
    server.stop()
    for path in server.directory.glob("hostkey*"):
        path.unlink()
    make_key(server.directory / "hostkey")
    server.start()
    with pytest.raises(
        UnreachableError, match=r"its key is not the one that it had; .*ssh-keygen -f .*known_hosts -R"
    ):
        server.ssh.connect("node1")


def test_a_host_whose_key_is_not_known_is_refused_where_keys_must_be_known(server: Sshd) -> None:
    strict = Ssh(server.home, SshSettings(host_keys="yes"))
    with pytest.raises(UnreachableError, match=r"its key is not known; .*ssh-keyscan"):
        strict.connect("node1")


def test_a_name_that_does_not_resolve_is_said_so_and_close_leaves_nothing(tmp_path: Path) -> None:
    ssh = Ssh(tmp_path)
    with pytest.raises(UnreachableError, match="no address is known for its name"):
        ssh.connect("no-such-host.invalid")
    ssh.close()
    assert not ssh.sockets.exists()


def test_a_name_that_is_an_option_never_reaches_ssh(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="not the name of a host"):
        Ssh(tmp_path).argv("-oProxyCommand=id", ["id"])


def test_a_directory_that_others_can_write_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh").chmod(0o777)
    with pytest.raises(DriverError, match="only this user can write"):
        Ssh(tmp_path).connect("node1")


def test_a_long_home_has_its_sockets_where_their_paths_are_short_enough(tmp_path: Path) -> None:
    path = Ssh(tmp_path / ("x" * 200)).socket_of("node1")
    assert len(os.fsencode(path)) < 90


def test_a_worker_that_is_killed_leaves_the_connection_to_others(server: Sshd) -> None:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        server.ssh.connect("node1")
        os.kill(0, signal.SIGKILL)
    os.waitpid(pid, 0)
    server.stop()
    assert server.ssh.run("node1", ["echo", "on"], timeout=20).stdout == "on\n"
