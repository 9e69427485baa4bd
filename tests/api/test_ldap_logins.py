"""Users of a directory from the door to slapd and back: made, kept in their groups, refused."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.api.auth_door import Door
from tests.drivers.auth import slapd
from tests.drivers.auth.slapd import GROUPS, PEOPLE, SUFFIX, Slapd

from merope.model.template import Template

pytestmark = pytest.mark.xdist_group("slapd")

REFUSED = (256, "[one.user.info] User couldn't be authenticated, aborting call.")
MANAGED = {"NAME": "ldap", "DRIVER_MANAGED_GROUPS": "YES", "PASSWORD_CHANGE": "YES"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    pytest.importorskip("ldap", reason="python-ldap is not installed (the extra `ldap`)")
    if slapd.SLAPD is None:
        pytest.skip("slapd is not installed (Debian's package slapd; scripts/setup.sh all)")
    with slapd.running(tmp_path_factory.mktemp("slapd") / "home") as made:
        ann = made.person("ann", "ann-secret", "Ann Lee")
        bob = made.person("bob", "bob-secret")
        made.person("oneadmin", "directory-secret")
        made.person("frank", "directory-secret")
        made.group("web", ann)
        made.group("db", bob)
        made.group("admins", bob)
        yield made


@pytest.fixture
async def door(directory: Slapd, tmp_path: Path) -> AsyncIterator[Door]:
    """Groups web and db (100 and 101) have the directory's of the same name in GROUP_DN."""
    auth = tmp_path / "etc" / "auth"
    auth.mkdir(parents=True)
    (auth / "ldap_auth.conf").write_text(
        f"server 1:\n    :host: 127.0.0.1\n    :port: {directory.ldaps}\n    :encryption: :simple_tls\n"
        f"    :ca_file: {directory.ca_file}\n    :base: '{SUFFIX}'\n    :user_field: uid\n    :timeout: 5\n"
        f"    :mapping_default: 1\n    :group_admin_group_dn: 'cn=admins,{GROUPS}'\n:order:\n    - server 1\n"
    )
    made = Door(tmp_path, "ldap", default_auth="ldap", auth_mad_conf={"ldap": MANAGED})
    for name in ("web", "db"):
        gid = await made.value("one.group.allocate", name)
        text = Template([("GROUP_DN", f"CN={name},{GROUPS}")]).to_text()
        await made.value("one.group.update", gid, text, 1)
    await made.value("one.user.allocate", "frank", "core-secret", "core", [1])
    yield made
    await made.close()


async def test_the_first_login_makes_the_user_with_the_groups_of_the_directory(door: Door) -> None:
    assert "<NAME>ann</NAME>" in await door.who("ann:ann-secret")
    ann = door.named("ann")
    assert ann is not None
    assert (ann.auth_driver, ann.password) == ("ldap", f"uid=ann,{PEOPLE}")
    assert (ann.gid, ann.groups) == (100, {100})
    assert ann.id in door.group(100).users


async def test_members_of_the_administrators_group_administer_their_groups(door: Door) -> None:
    await door.who("bob:bob-secret")
    bob = door.named("bob")
    assert bob is not None
    assert (bob.groups, door.group(101).admins) == ({101}, {bob.id})


async def test_a_name_in_capitals_is_the_same_user(door: Door) -> None:
    await door.who("ann:ann-secret")
    before = door.portrait()
    assert "<NAME>ann</NAME>" in await door.who("ANN:ann-secret")
    assert door.portrait() == before


async def test_the_groups_of_a_user_follow_the_directory_at_the_next_login(
    door: Door, directory: Slapd
) -> None:
    ann, bob = f"uid=ann,{PEOPLE}", f"uid=bob,{PEOPLE}"
    await door.who("ann:ann-secret")
    token = await door.value("one.user.login", "ann", "", 60, -1)
    try:
        directory.change(f"cn=db,{GROUPS}", "member", ann, bob)
        directory.change(f"cn=web,{GROUPS}", "member", bob)
        found = door.named("ann")
        assert found is not None
        # Any change of the user ends what is remembered.
        await door.edit(found.id, enabled=1)
        await door.who("ann:ann-secret")
        found = door.user(found.id)
        assert (found.gid, found.gname, found.groups) == (101, "db", {101})
        assert found.id not in door.group(100).users
        assert "<NAME>ann</NAME>" in await door.who(f"ann:{token}")
    finally:
        directory.change(f"cn=web,{GROUPS}", "member", ann)
        directory.change(f"cn=db,{GROUPS}", "member", bob)


MUST_FAIL = {
    "a wrong password": "ann:wrong",
    "an empty password": "ann:",
    "an empty password in disguise": "ann:%",
    "another's password": "ann:bob-secret",
    "any name": "*:ann-secret",
    "a filter in the name": "ann)(uid=*:ann-secret",
    "an unknown name": "nobody:ann-secret",
    "a user of the cloud with the directory's password": "frank:directory-secret",
    "the administrator with the directory's password": "oneadmin:directory-secret",
    "the administrator in capitals": "ONEADMIN:directory-secret",
    "a user of the cloud in capitals": "FRANK:directory-secret",
}


@pytest.mark.parametrize("attempt", MUST_FAIL)
async def test_an_attempt_that_must_fail_is_refused_and_changes_nothing(
    door: Door, attempt: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = door.portrait()
    assert await door.outcome(MUST_FAIL[attempt]) == REFUSED
    assert door.portrait() == before
    assert "secret" not in caplog.text
    assert "wrong" not in caplog.text


async def test_a_stored_dn_lets_nobody_in_as_somebody_else(door: Door) -> None:
    """Users may change what is stored for them; what counts is the entry of their own name."""
    await door.who("ann:ann-secret")
    ann = door.named("ann")
    assert ann is not None
    session = "ann:ann-secret"
    changed = await door.call("one.user.passwd", ann.id, f"uid=bob,{PEOPLE}", session=session)
    assert changed.code == 0
    assert await door.outcome("ann:bob-secret") == REFUSED
    assert (await door.outcome(session))[0] == 0


async def test_a_directory_that_hangs_refuses_in_time_and_the_next_login_gets_in(
    door: Door, directory: Slapd
) -> None:
    os.kill(directory.process.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(15):
            assert await door.outcome("ann:ann-secret") == REFUSED
            # Nobody else waits for it.
            assert (await door.outcome("frank:core-secret"))[0] == 0
    finally:
        os.kill(directory.process.pid, signal.SIGCONT)
    assert "<NAME>ann</NAME>" in await door.who("ann:ann-secret")


async def test_the_password_is_on_no_command_line(door: Door) -> None:
    await door.who("ann:ann-secret")
    pids = door.authentication._workers.pids
    assert pids
    assert not [pid for pid in pids if b"ann-secret" in _seen_by_others(pid)]


def _seen_by_others(pid: int) -> bytes:
    """The command line and the environment of a process."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
