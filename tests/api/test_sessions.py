"""Who is calling: passwords verified off the loop and remembered, tokens, and what makes a session void."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.api.dispatch_harness import ADMIN, PEER, Sandbox

from merope.api.backend import Outcome
from merope.core.transaction import Transaction
from merope.engine.cloud import Inputs
from merope.model import passwords
from merope.model.errors import Code
from merope.model.user import User

ANN = "ann:secret"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    made = Sandbox(tmp_path, session_expiration_time=900)
    await made.settle()
    await made.value("one.user.allocate", "ann", "secret", "", [1])
    yield made
    await made.close()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads in which passwords are verified."""
    threads: list[str] = []
    verify = passwords.verify

    def noting(stored: str, password: str) -> bool:
        threads.append(threading.current_thread().name)
        return verify(stored, password)

    monkeypatch.setattr(passwords, "verify", noting)
    return threads


async def refused(sandbox: Sandbox, session: str) -> bool:
    outcome = await sandbox.call("one.user.info", -1, session=session)
    return (outcome.code, outcome.message) == (
        Code.AUTHENTICATION,
        "[one.user.info] User couldn't be authenticated, aborting call.",
    )


async def edit(sandbox: Sandbox, **fields: object) -> None:
    def command(tx: Transaction) -> int:
        own = tx.edit(User, 2)
        for name, value in fields.items():
            setattr(own, name, value)
        return 2

    sandbox.cloud.execute(command, Inputs(internal=True))
    await sandbox.settle()


@pytest.mark.parametrize(
    "session",
    [
        "",
        ":",
        "ann",
        "ann:",
        "ann:wrong",
        "nobody:secret",
        "oneadmin:secret",
        "ann:secret:",
        ":secret",
        "\0:\0",
    ],
)
async def test_a_session_that_does_not_match_is_refused_in_the_same_words(
    sandbox: Sandbox, session: str
) -> None:
    assert await refused(sandbox, session)


async def test_a_password_is_verified_off_the_loop_and_once(sandbox: Sandbox, verified: list[str]) -> None:
    for _ in range(3):
        await sandbox.value("one.user.info", -1, session=ANN)
    assert len(verified) == 1
    assert verified[0].startswith("work")


async def test_a_remembered_session_is_answered_at_once(sandbox: Sandbox) -> None:
    await sandbox.value("one.user.info", -1, session=ANN)
    assert isinstance(sandbox.dispatcher.call("one.system.version", [ANN], PEER), Outcome)


async def test_a_refused_session_is_granted_once_it_is_the_password(sandbox: Sandbox) -> None:
    assert await refused(sandbox, "ann:wrong")
    await sandbox.value("one.user.passwd", 2, "wrong")
    assert "<NAME>ann</NAME>" in await sandbox.value("one.user.info", -1, session="ann:wrong")


async def test_a_changed_password_makes_the_old_session_void(sandbox: Sandbox) -> None:
    await sandbox.value("one.user.info", -1, session=ANN)
    await sandbox.value("one.user.passwd", 2, "changed")
    assert await refused(sandbox, ANN)
    assert "<NAME>ann</NAME>" in await sandbox.value("one.user.info", -1, session="ann:changed")


async def test_a_deleted_users_session_is_void(sandbox: Sandbox) -> None:
    await sandbox.value("one.user.info", -1, session=ANN)
    await sandbox.value("one.user.delete", 2)
    assert await refused(sandbox, ANN)


async def test_a_disabled_users_session_is_void(sandbox: Sandbox) -> None:
    await sandbox.value("one.user.info", -1, session=ANN)
    await edit(sandbox, enabled=0)
    assert await refused(sandbox, ANN)


async def test_a_user_of_another_group_acts_for_it_at_once(sandbox: Sandbox) -> None:
    await sandbox.value("one.user.info", -1, session=ANN)
    assert (await sandbox.call("one.host.allocate", "h", "dummy", "dummy", -1, session=ANN)).code
    await sandbox.value("one.user.chgrp", 2, 0)
    assert (await sandbox.call("one.host.allocate", "h", "dummy", "dummy", -1, session=ANN)).code == 0


async def test_a_digest_of_5_12_is_accepted_and_stored_anew(sandbox: Sandbox, verified: list[str]) -> None:
    await edit(sandbox, password=passwords.sha256_hex("secret"))
    await sandbox.value("one.user.info", -1, session=ANN)
    stored = sandbox.state.pools["user_pool"].parsed(2)
    assert isinstance(stored, User)
    assert stored.password.startswith("$scrypt$")
    await sandbox.value("one.user.info", -1, session=ANN)
    assert len(verified) == 1


async def test_a_wrong_password_leaves_a_digest_of_5_12_as_it_is(sandbox: Sandbox) -> None:
    digest = passwords.sha256_hex("secret")
    await edit(sandbox, password=digest)
    assert await refused(sandbox, "ann:wrong")
    stored = sandbox.state.pools["user_pool"].parsed(2)
    assert isinstance(stored, User)
    assert stored.password == digest


async def test_a_token_is_a_session_until_it_ends(sandbox: Sandbox, verified: list[str]) -> None:
    token = await sandbox.value("one.user.login", "ann", "", 60, -1)
    assert "<NAME>ann</NAME>" in await sandbox.value("one.user.info", -1, session=f"ann:{token}")
    sandbox.now += 60
    assert await refused(sandbox, f"ann:{token}")
    assert verified == []


async def test_a_token_that_was_taken_away_is_void(sandbox: Sandbox) -> None:
    token = await sandbox.value("one.user.login", "ann", "", 60, -1)
    await sandbox.value("one.user.info", -1, session=f"ann:{token}")
    await sandbox.value("one.user.login", "ann", token, 0, -1)
    assert await refused(sandbox, f"ann:{token}")


async def test_nothing_is_remembered_where_the_configuration_says_so(
    tmp_path: Path, verified: list[str]
) -> None:
    made = Sandbox(tmp_path / "..", session_expiration_time=0)
    await made.settle()
    for _ in range(2):
        await made.value("one.system.version", session=ADMIN)
    await made.close()
    assert len(verified) == 2
