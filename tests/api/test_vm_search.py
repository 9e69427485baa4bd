"""Searching the pool of VMs: those that match, of those that the caller may see."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.api.dispatch_harness import VM, Sandbox

ANN = "ann:secret"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """VM 0 of oneadmin's and VM 1 of ann's have ROLE web, VM 2 has another, VM 3 had web and is finished."""
    made = Sandbox(tmp_path)
    await made.value("one.user.allocate", "ann", "secret", "", [1])
    for role, session in (("web", ""), ("web", ANN), ("web-db", ""), ("web", "")):
        source = f'{VM}ROLE="{role}"'
        await made.value("one.vm.allocate", source, True, session=session or "oneadmin:opennebula")
    await made.value("one.vm.action", "terminate", 3)
    yield made
    await made.close()


async def found(
    sandbox: Sandbox, query: str, state: int = -1, session: str = "oneadmin:opennebula"
) -> list[str]:
    text = await sandbox.value("one.vmpool.info", -2, -1, -1, state, query, session=session)
    extended = await sandbox.value("one.vmpool.infoextended", -2, -1, -1, state, query, session=session)
    ids = re.findall(r"<VM><ID>(\d+)<", text)
    assert re.findall(r"<VM><ID>(\d+)<", extended) == ids
    return ids


async def test_vms_are_found_by_what_their_templates_say(sandbox: Sandbox) -> None:
    assert await found(sandbox, "ROLE=web") == ["1", "0"]
    assert await found(sandbox, "role=WEB-DB") == ["2"]
    assert await found(sandbox, "ROLE=database") == []
    assert await found(sandbox, "%") == []


async def test_without_a_query_everything_is_listed(sandbox: Sandbox) -> None:
    assert await found(sandbox, "") == ["2", "1", "0"]


async def test_the_other_filters_count_too(sandbox: Sandbox) -> None:
    assert await found(sandbox, "ROLE=web", -2) == ["3", "1", "0"]
    assert await found(sandbox, "ROLE=web", 6) == ["3"]
    assert await found(sandbox, "ROLE=web", 2) == ["1", "0"]
    assert await found(sandbox, "ROLE=web", 3) == []
    assert await found(sandbox, "ROLE=web", -1, ANN) == ["1"]


async def test_what_was_just_changed_is_found(sandbox: Sandbox) -> None:
    await sandbox.value("one.vm.update", 2, "ROLE=mail", 0)
    assert await found(sandbox, "ROLE=mail") == ["2"]
    assert await found(sandbox, "ROLE=web-db") == []
    await sandbox.value("one.vm.rename", 2, "a fine name")
    assert await found(sandbox, "NAME=a fine name") == ["2"]
