"""Who gets in by which driver, and a table of attempts that must fail: the code, and that nothing changes."""

import asyncio
import base64
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.api import auth_door
from tests.api.auth_door import Door, Keys
from tests.api.dispatch_harness import PEER, START
from tests.drivers.auth.authority import Issued, issue

from merope.api.backend import Outcome
from merope.drivers.errors import DriverError
from merope.model.errors import Code

#: How the driver's users are called here; `other` is one of another driver.
WRONG = "Bilby-4713"
REFUSED = (256, "[one.user.info] User couldn't be authenticated, aborting call.")


@dataclass
class World:
    door: Door
    keys: Keys


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """ann and bob by ssh, carol and dave by x509, eve by plain, serveradmin and signer for others."""
    keys = Keys(tmp_path)
    door = Door(tmp_path)
    users = (
        ("ann", keys.public(keys.ann), "ssh"),
        ("bob", keys.public(keys.bob), "ssh"),
        ("carol", keys.name_of(keys.ann), "x509"),
        ("dave", keys.name_of(keys.bob), "x509"),
        ("eve", "plain-secret", "plain"),
        ("signer", keys.name_of(keys.services), "server_x509"),
        ("guest", "guest-secret", "public"),
        ("frank", "core-secret", "core"),
    )
    for user, password, driver in users:
        await door.value("one.user.allocate", user, password, driver, [1])
    await door.edit(1, password=auth_door.STORED_SERVICE_PASSWORD)
    yield World(door, keys)
    await door.close()


SESSIONS: dict[str, tuple[str, Callable[[Keys, int], str]]] = {
    "ssh": ("ann", lambda keys, end: f"ann:{auth_door.ssh(keys.ann, 'ann', end)}"),
    "x509": ("carol", lambda keys, end: f"carol:{auth_door.x509(keys.ann, 'carol', end)}"),
    "plain": ("eve", lambda keys, end: "eve:plain-secret"),
    "core": ("frank", lambda keys, end: "frank:core-secret"),
    "server_cipher": ("ann", lambda keys, end: auth_door.cipher("ann", end)),
    "server_x509": ("eve", lambda keys, end: auth_door.signer(keys.services, "eve", end)),
}


@pytest.mark.parametrize("driver", SESSIONS)
async def test_the_right_credentials_get_in(world: World, driver: str) -> None:
    user, session = SESSIONS[driver]
    assert f"<NAME>{user}</NAME>" in await world.door.who(session(world.keys, START + 60))


@pytest.mark.parametrize("driver", [name for name in SESSIONS if name not in ("plain", "core")])
async def test_a_session_is_no_longer_remembered_than_what_was_shown_is_valid(
    world: World, driver: str
) -> None:
    session = SESSIONS[driver][1](world.keys, START + 60)
    await world.door.who(session)
    world.door.now += 59
    assert isinstance(world.door.dispatcher.call("one.system.version", [session], PEER), Outcome)
    world.door.now += 1
    assert await world.door.outcome(session) == REFUSED


@pytest.mark.parametrize("driver", SESSIONS)
async def test_who_is_disabled_does_not_get_in_by_any_driver(world: World, driver: str) -> None:
    user, session = SESSIONS[driver]
    found = world.door.named(user)
    assert found is not None
    await world.door.who(session(world.keys, START + 60))
    await world.door.edit(found.id, enabled=0)
    for end in (START + 60, START + 61):
        assert await world.door.outcome(session(world.keys, end)) == REFUSED


@pytest.mark.parametrize("driver", ["server_cipher", "server_x509"])
async def test_a_disabled_service_acts_for_nobody(world: World, driver: str) -> None:
    session = SESSIONS[driver][1](world.keys, START + 60)
    await world.door.who(session)
    found = world.door.named("serveradmin" if driver == "server_cipher" else "signer")
    assert found is not None
    await world.door.edit(found.id, enabled=0)
    assert await world.door.outcome(session) == REFUSED


@pytest.mark.parametrize("user", ["ann", "carol", "eve", "frank"])
async def test_login_tokens_are_for_users_of_every_driver(world: World, user: str) -> None:
    token = await world.door.value("one.user.login", user, "", 60, -1)
    assert f"<NAME>{user}</NAME>" in await world.door.who(f"{user}:{token}")
    world.door.now += 60
    assert await world.door.outcome(f"{user}:{token}") == REFUSED


def _tampered(session: str) -> str:
    """One bit of the token is another."""
    head, _, token = session.rpartition(":")
    data = bytearray(base64.b64decode(token))
    data[5] ^= 1
    return f"{head}:{base64.b64encode(data).decode()}"


def _unsigned(user: str, end: int) -> str:
    return f"{user}:{base64.b64encode(f'{user}:{end}'.encode()).decode()}"


LATER = START + 60
SSH, X509, CIPHER, SIGNER = auth_door.ssh, auth_door.x509, auth_door.cipher, auth_door.signer
ATTEMPTS: dict[str, Callable[[Keys], str]] = {
    "ssh: expired": lambda k: f"ann:{SSH(k.ann, 'ann', START)}",
    "ssh: without an end": lambda k: f"ann:{SSH(k.ann, 'ann', -1)}",
    "ssh: another user's token": lambda k: f"ann:{SSH(k.bob, 'bob', LATER)}",
    "ssh: for oneself with another's key": lambda k: f"ann:{SSH(k.bob, 'ann', LATER)}",
    "ssh: one's own key for another": lambda k: f"bob:{SSH(k.ann, 'bob', LATER)}",
    "ssh: tampered": lambda k: _tampered(f"ann:{SSH(k.ann, 'ann', LATER)}"),
    "ssh: cut off": lambda k: f"ann:{SSH(k.ann, 'ann', LATER)[:100]}",
    "ssh: unsigned": lambda k: _unsigned("ann", LATER),
    "ssh: what is stored": lambda k: f"ann:{k.public(k.ann)}",
    "ssh: two names in the token": lambda k: f"ann:{SSH(k.ann, 'ann:bob', LATER)}",
    "x509: expired": lambda k: f"carol:{X509(k.ann, 'carol', START)}",
    "x509: another user's token": lambda k: f"carol:{X509(k.bob, 'dave', LATER)}",
    "x509: another's certificate": lambda k: f"carol:{X509(k.bob, 'carol', LATER)}",
    "x509: tampered": lambda k: _tampered(f"carol:{X509(k.ann, 'carol', LATER)}"),
    "x509: unsigned": lambda k: _unsigned("carol", LATER),
    "x509: the name that is stored": lambda k: f"carol:{k.name_of(k.ann)}",
    "x509: by another authority": lambda k: (
        "carol:" + X509(issue(k.ann.certificate.subject, k.ann.key, k.other_root, now=START),
                        "carol", LATER)
    ),
    "x509: a certificate that has ended": lambda k: (
        "carol:" + X509(issue(k.ann.certificate.subject, k.ann.key, k.root, begin=-9, days=8,
                                        now=START), "carol", LATER)
    ),
    "x509: a key that is not the certificate's": lambda k: (
        "carol:" + X509(Issued(k.ann.certificate, k.bob.key), "carol", LATER)
    ),
    "x509: an ssh token": lambda k: f"carol:{SSH(k.ann, 'carol', LATER)}",
    "plain: another password": lambda k: f"eve:{WRONG}",
    "plain: a part of it": lambda k: "eve:plain-secre",
    "plain: more than it": lambda k: "eve:plain-secrets",
    "core: another password": lambda k: f"frank:{WRONG}",
    "core: what is stored for plain": lambda k: "frank:plain-secret",
    "public: its password": lambda k: "guest:guest-secret",
    "server_cipher: expired": lambda k: CIPHER("ann", START),
    "server_cipher: another password": lambda k: CIPHER("ann", LATER, WRONG),
    "server_cipher: tampered": lambda k: _tampered(CIPHER("ann", LATER)),
    "server_cipher: cut off": lambda k: CIPHER("ann", LATER)[:-24],
    "server_cipher: unencrypted": lambda k: (
        "serveradmin:ann:" + base64.b64encode(f"serveradmin:ann:{LATER}".encode()).decode()
    ),
    "server_cipher: another user's token": lambda k: (
        "serveradmin:oneadmin:" + CIPHER("ann", LATER).rpartition(":")[2]
    ),
    "server_cipher: for a group the user is not in": lambda k: CIPHER("ann:0", LATER),
    "server_cipher: a token for a group, for all": lambda k: (
        "serveradmin:ann:" + CIPHER("ann:1", LATER).rpartition(":")[2]
    ),
    "server_cipher: for nobody": lambda k: CIPHER("nobody", LATER),
    "server_cipher: its password": lambda k: f"serveradmin:{auth_door.SERVICE_PASSWORD}",
    "server_cipher: what is stored": lambda k: f"serveradmin:ann:{auth_door.STORED_SERVICE_PASSWORD}",
    "server_cipher: no token": lambda k: "serveradmin:ann:",
    "server_cipher: of an ordinary user": lambda k: (
        "frank:oneadmin:" + CIPHER("oneadmin", LATER).rpartition(":")[2]
    ),
    "server_x509: expired": lambda k: SIGNER(k.services, "eve", START),
    "server_x509: another key": lambda k: SIGNER(k.ann, "eve", LATER),
    "server_x509: another user's token": lambda k: (
        "signer:oneadmin:" + SIGNER(k.services, "eve", LATER).rpartition(":")[2]
    ),
    "server_x509: another service": lambda k: SIGNER(k.services, "eve", LATER, "serveradmin"),
    "server_x509: tampered": lambda k: _tampered(SIGNER(k.services, "eve", LATER)),
    "unknown name": lambda k: f"nobody:{WRONG}",
    "unknown name with a token": lambda k: f"nobody:{SSH(k.ann, 'nobody', LATER)}",
}  # fmt: skip


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_an_attempt_that_must_fail_is_refused_and_changes_nothing(
    world: World, attempt: str, caplog: pytest.LogCaptureFixture
) -> None:
    session = ATTEMPTS[attempt](world.keys)
    before = world.door.portrait()
    with caplog.at_level(logging.DEBUG):
        assert await world.door.outcome(session) == REFUSED
    assert world.door.portrait() == before
    said = caplog.text + world.door.logged()
    assert session.rpartition(":")[2] not in said or not session.rpartition(":")[2]
    assert WRONG not in said


async def test_a_token_of_one_user_is_refused_after_it_was_good_for_that_user(world: World) -> None:
    """What is remembered is remembered for the whole session."""
    right = auth_door.cipher("ann", LATER)
    await world.door.who(right)
    token = right.rpartition(":")[2]
    assert await world.door.outcome(f"serveradmin:oneadmin:{token}") == REFUSED
    assert await world.door.outcome(f"serveradmin:eve:{token}") == REFUSED


async def test_a_service_acts_for_one_group_of_the_user(world: World) -> None:
    gid = await world.door.value("one.group.allocate", "web")
    found = world.door.named("ann")
    assert found is not None
    await world.door.value("one.user.addgroup", found.id, gid)
    session = auth_door.cipher(f"ann:{gid}", LATER)
    assert "<NAME>web</NAME>" in await world.door.value("one.group.info", -1, session=session)
    session = auth_door.cipher("ann", LATER)
    assert "<NAME>users</NAME>" in await world.door.value("one.group.info", -1, session=session)


async def test_changing_the_stored_key_ends_the_session(world: World) -> None:
    session = SESSIONS["ssh"][1](world.keys, LATER)
    await world.door.who(session)
    found = world.door.named("ann")
    assert found is not None
    await world.door.value("one.user.passwd", found.id, world.keys.public(world.keys.bob))
    assert await world.door.outcome(session) == REFUSED


async def test_users_of_a_driver_that_is_not_enabled_do_not_get_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(tmp_path, "ssh")
    await door.value("one.user.allocate", "eve", "plain-secret", "plain", [1])
    assert await door.outcome("eve:plain-secret") == REFUSED
    assert "the driver plain is not in AUTH_MAD/AUTHN" in caplog.text
    await door.close()


# Executables of third parties


@pytest.fixture
def executable(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes remotes/auth/NAME/authenticate, a shell script."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / "home" / "remotes" / "auth" / name / "authenticate"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
        return path

    return write


MANAGED = {"NAME": "house", "DRIVER_MANAGED_GROUPS": "YES", "MAX_TOKEN_TIME": "60"}


async def test_an_executable_is_asked_on_standard_input_and_answers_by_its_status(
    tmp_path: Path, executable: Callable[[str, str], Path]
) -> None:
    asked = tmp_path / "asked"
    executable("house", f'cat > {asked}; echo "args: $#" >> {asked}; grep -q "s&lt;3" {asked}')
    door = Door(tmp_path, "house")
    await door.value("one.user.allocate", "ann", "what&is<stored", "house", [1])
    assert "<NAME>ann</NAME>" in await door.who("ann:s<3&")
    question = "<AUTHN><USERNAME>ann</USERNAME><PASSWORD>what&amp;is&lt;stored</PASSWORD>"
    assert asked.read_text() == f"{question}<SECRET>s&lt;3&amp;</SECRET></AUTHN>\nargs: 0\n"
    before = door.portrait()
    assert await door.outcome("ann:wrong") == REFUSED
    assert door.portrait() == before
    await door.close()


FAILING = {
    "it says no": "exit 1",
    "it says no by -1": "exit 255",
    "it cannot be executed": "",
    "it dies": "kill -9 $$",
    "it takes too long": "sleep 60",
    "it never ends talking": "yes",
    "it answers nonsense groups": "echo house ann pw 1 two",
    "it answers a group that is not there": "echo house ann pw 1 4711",
    "it answers a wrong path out of the groups": "echo house ann pw ../1",
}


@pytest.mark.parametrize("case", FAILING)
async def test_an_executable_that_does_not_say_yes_lets_nobody_in(
    tmp_path: Path, executable: Callable[[str, str], Path], case: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = executable("house", f"cat >&2; {FAILING[case]}")
    door = Door(tmp_path, "house", auth_mad_conf={"house": MANAGED})
    door_drivers = door.authentication._enabled["house"].driver
    door_drivers._seconds = 1.0  # type: ignore[attr-defined]
    await door.value("one.user.allocate", "ann", "stored-secret", "house", [1])
    if case == "it cannot be executed":
        path.chmod(0o644)
    before = door.portrait()
    with caplog.at_level(logging.DEBUG):
        assert await door.outcome(f"ann:{WRONG}") == REFUSED
    assert door.portrait() == before
    # It repeated on standard error what it was given.
    assert WRONG not in caplog.text
    assert "stored-secret" not in caplog.text
    await door.close()


async def test_the_log_has_the_message_of_an_executable_that_says_no(
    tmp_path: Path, executable: Callable[[str, str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    marks = ("ERROR MESSAGE --8<------", "no such word", "ERROR MESSAGE ------>8--", "ExitCode: 255")
    executable("house", "".join(f"echo '{line}' >&2\n" for line in marks) + "exit 255")
    door = Door(tmp_path, "house")
    await door.value("one.user.allocate", "ann", "stored", "house", [1])
    assert await door.outcome("ann:wrong") == REFUSED
    said = "driver house refused user 2: authenticate failed with exit status 255: no such word"
    assert [line.strip().removesuffix(" /") for line in caplog.messages] == [said]
    await door.close()


async def test_an_executable_that_anybody_can_write_is_refused(
    tmp_path: Path, executable: Callable[[str, str], Path]
) -> None:
    path = executable("house", "exit 0")
    path.chmod(0o757)
    with pytest.raises(DriverError, match="anybody can write"):
        Door(tmp_path, "house")


async def test_a_driver_makes_the_users_whom_it_knows_and_the_cloud_does_not(
    tmp_path: Path, executable: Callable[[str, str], Path]
) -> None:
    executable(
        "house", 'grep -q "<PASSWORD>-</PASSWORD><SECRET>secret</SECRET>" && echo house ann key:1 1 "*100"'
    )
    door = Door(tmp_path, "house", default_auth="house", auth_mad_conf={"house": MANAGED})
    gid = await door.value("one.group.allocate", "web")
    before = door.portrait()
    assert await door.outcome("ann:wrong") == REFUSED
    assert door.portrait() == before
    assert "<NAME>ann</NAME>" in await door.who("ann:secret")
    ann = door.named("ann")
    assert ann is not None
    assert (ann.auth_driver, ann.password, ann.gid, ann.groups) == ("house", "key:1", 1, {1, gid})
    assert (ann.id in door.group(gid).users, door.group(gid).admins) == (True, {ann.id})
    assert ann.id in door.group(1).users
    assert door.group(1).admins == set()
    await door.close()


async def test_a_new_user_whom_the_driver_puts_nowhere_is_in_the_group_of_users(
    tmp_path: Path, executable: Callable[[str, str], Path]
) -> None:
    executable("house", "echo house ann pw")
    door = Door(tmp_path, "house", default_auth="house")
    await door.who("ann:secret")
    ann = door.named("ann")
    assert ann is not None
    assert (ann.gid, ann.gname, ann.groups) == (1, "users", {1})
    await door.close()


async def test_many_first_logins_at_once_make_one_user(
    tmp_path: Path, executable: Callable[[str, str], Path]
) -> None:
    executable("house", f"echo x >> {tmp_path}/asked; sleep 0.2; echo house ann pw 1")
    door = Door(tmp_path, "house", default_auth="house")
    answers = await asyncio.gather(*(door.outcome("ann:secret") for _ in range(10)))
    assert {code for code, _ in answers} == {0}
    assert (tmp_path / "asked").read_text() == "x\n"
    assert [u.name for u in (door.user(oid) for oid in door.state.pools["user_pool"].entries)] == [
        "oneadmin",
        "serveradmin",
        "ann",
    ]
    await door.close()


TAKEN = {
    "the administrator's name": "echo house oneadmin pw 0",
    "a name of another driver": "echo house frank pw 1",
    "an invalid name": "echo house 'a/b' pw 1",
    "no name": "true",
    "an invalid driver": "echo 'ho/use' ann pw 1",
    "no group": "echo house ann pw 4711",
}


@pytest.mark.parametrize("case", TAKEN)
async def test_a_driver_cannot_make_somebody_a_user_who_is_another(
    tmp_path: Path, executable: Callable[[str, str], Path], case: str
) -> None:
    executable("house", TAKEN[case])
    door = Door(tmp_path, "house", default_auth="house")
    await door.value("one.user.allocate", "frank", "core-secret", "core", [1])
    before = door.portrait()
    assert await door.outcome("mallory:secret") == REFUSED
    assert door.portrait() == before
    await door.close()


async def test_the_driver_decides_the_groups_at_each_login_where_the_configuration_says_so(
    tmp_path: Path, executable: Callable[[str, str], Path]
) -> None:
    executable("house", "echo house ann pw $(cat $(dirname $0)/groups)")
    groups = tmp_path / "home" / "remotes" / "auth" / "house" / "groups"
    groups.write_text("100 *101")
    door = Door(tmp_path, "house", default_auth="house", auth_mad_conf={"house": MANAGED})
    for name in ("web", "db", "net"):
        await door.value("one.group.allocate", name)
    await door.who("ann:1")
    ann = door.named("ann")
    assert ann is not None
    rules = len(door.state.rules)
    steps: tuple[tuple[str, int, set[int], set[int]], ...] = (
        ("100 *101", 100, {100, 101}, {101}),
        ("101 102", 101, {101, 102}, set()),
        ("*102 101", 101, {101, 102}, {102}),
        ("100", 100, {100}, set()),
    )
    for number, (answer, gid, gids, administered) in enumerate(steps, 2):
        groups.write_text(answer)
        await door.who(f"ann:{number}")
        ann = door.user(ann.id)
        assert (ann.gid, ann.groups) == (gid, gids)
        assert {oid for oid in (100, 101, 102) if ann.id in door.group(oid).users} == gids
        assert {oid for oid in (100, 101, 102) if ann.id in door.group(oid).admins} == administered
    # The rules of an administrator go with the office.
    assert len(door.state.rules) == rules - 2
    refusal = await door.call("one.user.addgroup", ann.id, 101)
    assert refusal.code == Code.ACTION
    await door.close()


async def test_a_login_that_changes_no_group_leaves_other_sessions_of_the_user(
    tmp_path: Path, executable: Callable[[str, str], Path]
) -> None:
    executable("house", "echo house ann pw 1")
    door = Door(tmp_path, "house", default_auth="house", auth_mad_conf={"house": MANAGED})
    await door.who("ann:1")
    await door.who("ann:2")
    assert isinstance(door.dispatcher.call("one.system.version", ["ann:1"], PEER), Outcome)
    await door.close()


async def test_tokens_live_no_longer_than_the_driver_allows(
    tmp_path: Path, executable: Callable[[str, str], Path]
) -> None:
    executable("house", "true")
    executable("never", "true")
    never = {"NAME": "never", "MAX_TOKEN_TIME": "0"}
    door = Door(tmp_path, "house,never", auth_mad_conf={"house": MANAGED, "never": never})
    for user, driver in (("ann", "house"), ("bob", "never")):
        await door.value("one.user.allocate", user, "x", driver, [1])
    for period in (3600, -1):
        token = await door.value("one.user.login", "ann", "", period, -1)
        found = door.named("ann")
        assert found is not None
        assert [t.expires for t in found.login_tokens if t.token == token] == [START + 60]
        await door.value("one.user.login", "ann", token, 0, -1)
    refusal = await door.call("one.user.login", "bob", "", 60, -1)
    assert (refusal.code, "Login tokens are disabled for driver never" in refusal.message) == (2048, True)
    await door.close()


async def test_the_name_default_may_be_a_link_to_a_driver_that_is_built_in(tmp_path: Path) -> None:
    auth = tmp_path / "home" / "remotes" / "auth"
    auth.mkdir(parents=True)
    os.symlink("plain", auth / "default")
    door = Door(tmp_path, "default")
    assert door.authentication._enabled["default"].name == "plain"
    await door.close()
