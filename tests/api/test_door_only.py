"""Methods that nobody who is known can be refused: who is not known is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.api.dispatch_harness import Sandbox

from merope.core.methods import METHODS, Access, Method
from merope.model.errors import Code


def _for_everybody(method: Method) -> bool:
    """Without parameters and rights there is nothing to refuse; any number of seconds is one."""
    bare = not method.params and not method.needs and method.access is Access.ANYONE
    return bare or method.name == "one.hostpool.monitoring"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    made = Sandbox(tmp_path)
    await made.settle()
    yield made
    await made.close()


@pytest.mark.parametrize("method", sorted(filter(lambda name: _for_everybody(METHODS[name]), METHODS)))
async def test_who_is_not_known_is_told_nothing(sandbox: Sandbox, method: str) -> None:
    arguments = [0 for _ in METHODS[method].params]
    outcome = await sandbox.call(method, *arguments, session="oneadmin:wrong")
    assert (outcome.code, outcome.value) == (Code.AUTHENTICATION, "")
    assert outcome.message == f"[{method}] User couldn't be authenticated, aborting call."
