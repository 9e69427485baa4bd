"""Showback as it is answered: calculated from what is stored, for those who may see it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from tests.api.dispatch_harness import START, VM, Sandbox
from tests.core.schemas import check_schema

ANN, BOB = "ann:secret", "bob:secret"
ALL = (-1, -1, -1, -1)
HOUR = 3600
MONTH = 31 * 24 * HOUR


@pytest.fixture
async def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """VM 0 of ann's ran for an hour and is finished, VM 1 of bob's runs; a CPU costs 10 for an hour."""
    monkeypatch.setenv("TZ", "UTC")
    made = Sandbox(tmp_path, default_cpu_cost=10.0)
    made.start_engine(asyncio.get_running_loop().call_later)
    await made.value("one.host.allocate", "node", "dummy", "dummy", -1)
    for name in ("ann", "bob"):
        await made.value("one.user.allocate", name, "secret", "", [1])
    for session in (ANN, BOB):
        oid = await made.value("one.vm.allocate", VM, True, session=session)
        await made.value("one.vm.deploy", oid, 0)
        await made.rest()
        made.now += HOUR
        if session == ANN:
            await made.value("one.vm.action", "terminate-hard", oid)
            await made.rest()
    yield made
    await made.close()


async def records(sandbox: Sandbox, flag: int = -2, *span: int, session: str = "") -> list[Element]:
    text = await sandbox.value(
        "one.vmpool.showback", flag, *(span or ALL), session=session or "oneadmin:opennebula"
    )
    check_schema(text, "showback")
    return list(ElementTree.fromstring(text))


def ids(found: list[Element]) -> list[str]:
    return [record.findtext("VMID", "") for record in found]


async def test_nothing_is_shown_before_it_is_calculated(sandbox: Sandbox) -> None:
    assert await sandbox.value("one.vmpool.showback", -2, *ALL) == "<SHOWBACK_RECORDS/>"


async def test_live_and_finished_vms_are_charged(sandbox: Sandbox) -> None:
    assert await sandbox.value("one.vmpool.calculateshowback", *ALL) == ""
    found = await records(sandbox)
    assert ids(found) == ["0", "1"]
    begun = datetime.fromtimestamp(START, UTC)
    for record, name in zip(found, ("ann", "bob"), strict=True):
        assert record.findtext("UNAME") == name
        assert record.findtext("GNAME") == "users"
        assert record.findtext("VMNAME") == f"one-{record.findtext('VMID')}"
        assert record.findtext("HOURS") == "1.00"
        assert record.findtext("CPU_COST") == "1"
        assert record.findtext("TOTAL_COST") == "1"
        assert (record.findtext("YEAR"), record.findtext("MONTH")) == (str(begun.year), str(begun.month))


async def test_what_was_calculated_grows_when_it_is_calculated_again(sandbox: Sandbox) -> None:
    await sandbox.value("one.vmpool.calculateshowback", *ALL)
    sandbox.now += HOUR
    await sandbox.value("one.vmpool.calculateshowback", *ALL)
    assert [record.findtext("HOURS") for record in await records(sandbox)] == ["1.00", "2.00"]


async def test_a_calculation_that_finds_nothing_new_changes_nothing(sandbox: Sandbox) -> None:
    await sandbox.value("one.vmpool.calculateshowback", *ALL)
    before = sandbox.state.index
    await sandbox.value("one.vmpool.calculateshowback", *ALL)
    assert sandbox.state.index == before


async def test_only_the_months_that_are_asked_for_are_calculated_and_listed(sandbox: Sandbox) -> None:
    begun = datetime.fromtimestamp(START, UTC)
    sandbox.now += 2 * MONTH
    await sandbox.value("one.vmpool.calculateshowback", begun.month, begun.year, begun.month, begun.year)
    assert ids(await records(sandbox)) == ["0", "1"]
    await sandbox.value("one.vmpool.calculateshowback", *ALL)
    assert ids(await records(sandbox)) == ["0", "1", "1", "1"]
    assert ids(await records(sandbox, -2, begun.month, begun.year, begun.month, begun.year)) == ["0", "1"]
    after = (begun.year * 12 + begun.month) // 12, (begun.year * 12 + begun.month) % 12 + 1
    assert ids(await records(sandbox, -2, after[1], after[0], -1, -1)) == ["1", "1"]


async def test_a_change_of_owner_shows_in_the_next_calculation(sandbox: Sandbox) -> None:
    await sandbox.value("one.vm.chown", 1, 2, -1)
    await sandbox.value("one.vmpool.calculateshowback", *ALL)
    assert [record.findtext("UNAME") for record in await records(sandbox)] == ["ann", "ann"]


async def test_costs_are_those_of_vms_that_the_caller_may_use(sandbox: Sandbox) -> None:
    await sandbox.value("one.vmpool.calculateshowback", *ALL)
    assert ids(await records(sandbox, session=ANN)) == ["0"]
    assert ids(await records(sandbox, session=BOB)) == ["1"]
    assert ids(await records(sandbox, -3)) == []
    assert ids(await records(sandbox, 3)) == ["1"]
