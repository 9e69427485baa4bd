"""Wrong passwords at the door: they wait, nobody else does, and what is remembered goes on."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.api.dispatch_harness import ADMIN, PEER, Sandbox

from merope.api.backend import Outcome, Peer


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    made = Sandbox(tmp_path)
    await made.value("one.user.allocate", "ann", "right", "", [1])
    yield made
    await made.close()


async def ask(sandbox: Sandbox, session: str, host: str = "127.0.0.1") -> tuple[int, float]:
    """The code, and how long the answer took."""
    began = time.monotonic()
    answer = sandbox.dispatcher.call("one.user.info", [session, -1], Peer(host, 1))
    outcome = answer if isinstance(answer, Outcome) else await answer
    return outcome.code, time.monotonic() - began


async def test_guesses_take_longer_and_longer(sandbox: Sandbox) -> None:
    answers = [await ask(sandbox, f"ann:{number}") for number in range(7)]
    assert {code for code, _ in answers} == {256}
    assert max(seconds for _, seconds in answers[:5]) < 0.25
    assert answers[5][1] >= 0.25
    assert answers[6][1] >= 0.5


async def test_guesses_hold_up_neither_others_nor_who_is_logged_in(sandbox: Sandbox) -> None:
    await sandbox.value("one.user.allocate", "bob", "right", "", [1])
    assert (await ask(sandbox, "ann:right"))[0] == 0
    guesses = [asyncio.create_task(ask(sandbox, f"ann:{number}")) for number in range(30)]
    await asyncio.sleep(0)
    known, other = await ask(sandbox, "ann:right"), await ask(sandbox, "bob:right")
    assert (known[0], other[0]) == (0, 0)
    assert known[1] < 0.1
    assert other[1] < 0.5
    refused = [task for task in guesses if task.done()]
    # Those that are too many are refused at once, unread.
    assert len(refused) >= 15
    for task in guesses:
        task.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)


async def test_the_right_password_gets_in_among_guesses_after_its_wait(sandbox: Sandbox) -> None:
    for number in range(6):
        await ask(sandbox, f"ann:{number}")
    code, seconds = await ask(sandbox, "ann:right")
    assert code == 0
    assert seconds >= 0.5
    assert (await ask(sandbox, "ann:wrong"))[1] < 0.25


async def test_the_same_wrong_password_again_costs_nothing_and_counts_once(sandbox: Sandbox) -> None:
    answers = [await ask(sandbox, "ann:old-password") for _ in range(20)]
    assert {code for code, _ in answers} == {256}
    assert sum(seconds for _, seconds in answers) < 1
    assert (await ask(sandbox, "ann:right"))[1] < 0.25


async def test_tokens_and_the_administrator_are_not_held_up(sandbox: Sandbox) -> None:
    token = await sandbox.value("one.user.login", "ann", "", 60, -1)
    for number in range(7):
        await ask(sandbox, f"ann:{number}")
    code, seconds = await ask(sandbox, f"ann:{token}")
    assert code == 0
    assert seconds < 0.1
    assert isinstance(sandbox.dispatcher.call("one.system.version", [ADMIN], PEER), Outcome)


async def test_guesses_from_the_same_address_keep_nobody_out_who_was_in_before(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, session_expiration_time=0)
    await sandbox.value("one.user.allocate", "ann", "right", "", [1])
    assert (await ask(sandbox, "ann:right"))[0] == 0
    guesses = [asyncio.create_task(ask(sandbox, f"ann:{number}")) for number in range(30)]
    await asyncio.sleep(0.3)
    code, seconds = await ask(sandbox, "ann:right")
    assert code == 0
    assert seconds < 0.25
    await sandbox.value("one.user.passwd", 2, "changed")
    # It is a guess like any other now.
    assert (await ask(sandbox, "ann:right"))[0] == 256
    for task in guesses:
        task.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)
    await sandbox.close()
