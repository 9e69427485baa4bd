"""Accounting and figures as they are answered: for those who may see them, of the time that was asked for."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.api.dispatch_harness import START, VM, Sandbox
from tests.core.conftest import example, flat

from merope.model.errors import Code

ANN, BOB = "ann:secret", "bob:secret"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A host; VM 0 of ann's ran from START+10 to START+20, VM 1 of bob's runs since START+30."""
    made = Sandbox(tmp_path)
    made.start_engine(asyncio.get_running_loop().call_later)
    await made.value("one.host.allocate", "node", "dummy", "dummy", -1)
    for name in ("ann", "bob"):
        await made.value("one.user.allocate", name, "secret", "", [1])
    for session in (ANN, BOB):
        oid = await made.value("one.vm.allocate", VM, True, session=session)
        made.now += 10
        await made.value("one.vm.deploy", oid, 0)
        await made.rest()
        if session == ANN:
            made.now += 10
            await made.value("one.vm.action", "terminate-hard", oid)
            await made.rest()
    yield made
    await made.close()


async def records(sandbox: Sandbox, flag: int, start: int, end: int, session: str) -> list[str]:
    text = await sandbox.value("one.vmpool.accounting", flag, start, end, session=session)
    root = ElementTree.fromstring(text)
    assert root.tag == "HISTORY_RECORDS"
    return [record.findtext("OID") or "" for record in root]


async def test_records_of_live_and_finished_vms_are_listed(sandbox: Sandbox) -> None:
    assert await records(sandbox, -2, -1, -1, "oneadmin:opennebula") == ["0", "1"]


@pytest.mark.parametrize(
    ("start", "end", "listed"),
    [
        (START + 21, -1, ["1"]),
        (START + 15, -1, ["0", "1"]),
        (-1, START + 30, ["0"]),
        (-1, START + 10, []),
        (START + 25, START + 28, []),
        (START + 35, START + 36, ["1"]),
    ],
)
async def test_records_are_those_that_overlap_the_time(
    sandbox: Sandbox, start: int, end: int, listed: list[str]
) -> None:
    sandbox.now += 50
    assert await records(sandbox, -2, start, end, "oneadmin:opennebula") == listed


async def test_records_are_those_of_vms_that_the_caller_may_use(sandbox: Sandbox) -> None:
    assert await records(sandbox, -2, -1, -1, ANN) == ["0"]
    assert await records(sandbox, -2, -1, -1, BOB) == ["1"]
    assert await records(sandbox, -3, -1, -1, "oneadmin:opennebula") == []
    assert await records(sandbox, 3, -1, -1, "oneadmin:opennebula") == ["1"]


async def test_a_filter_that_is_none_is_refused(sandbox: Sandbox) -> None:
    for method, rest in (("one.vmpool.accounting", (-1, -1)), ("one.vmpool.monitoring", (-1,))):
        assert (await sandbox.call(method, -5, *rest)).code == Code.XML_RPC_API


async def test_a_record_holds_the_vm_as_the_recorded_one_does(sandbox: Sandbox) -> None:
    text = await sandbox.value("one.vmpool.accounting", -2, -1, -1)
    for record in ElementTree.fromstring(text):
        recorded = example("accounting.xml")[0]
        assert [part.tag for part in record] == [part.tag for part in recorded]
        vm = record.find("VM")
        assert vm is not None
        assert vm.findall("HISTORY_RECORDS/HISTORY") == []
        assert (record.findtext("ETIME") == "0") == (record.findtext("OID") == "1")


async def test_figures_are_listed_by_age_and_by_right(sandbox: Sandbox) -> None:
    document = "<MONITORING><ID>{0}</ID><TIMESTAMP>{1}</TIMESTAMP></MONITORING>"
    for seconds in (5, 6, 7):
        sandbox.recorder.record("vm_pool", 1, START + seconds, document.format(1, seconds))
        sandbox.recorder.record("host_pool", 0, START + seconds, document.format(0, seconds))
    sandbox.now = START + 8

    async def times(method: str, *arguments: int, session: str = "oneadmin:opennebula") -> list[str]:
        return re.findall(r"<TIMESTAMP>(\d)<", await sandbox.value(method, *arguments, session=session))

    assert await times("one.vm.monitoring", 1) == ["5", "6", "7"]
    assert await times("one.host.monitoring", 0) == ["5", "6", "7"]
    for method, first in (("one.vmpool.monitoring", (-2,)), ("one.hostpool.monitoring", ())):
        assert await times(method, *first) == ["5", "6", "7"]
        assert await times(method, *first, -1) == ["5", "6", "7"]
        assert await times(method, *first, 0) == ["7"]
        assert await times(method, *first, 2) == ["7"]
    assert await times("one.vmpool.monitoring", -2, session=BOB) == ["5", "6", "7"]
    assert await times("one.vmpool.monitoring", -2, session=ANN) == []
    assert (await sandbox.call("one.host.monitoring", 0, session=ANN)).code == Code.AUTHORIZATION


async def test_what_was_never_measured_is_an_empty_document(sandbox: Sandbox) -> None:
    shown = await sandbox.value("one.vm.monitoring", 1)
    assert flat(ElementTree.fromstring(shown)) == flat(example("vm-monitoring.xml"))
    assert await sandbox.value("one.hostpool.monitoring") == "<MONITORING_DATA/>"


async def test_figures_and_whole_lists_are_for_who_may_see_them(sandbox: Sandbox) -> None:
    for method in ("one.vm.monitoring", "one.host.monitoring"):
        assert (await sandbox.call(method, 99)).code == Code.NO_EXISTS
    assert (await sandbox.call("one.vm.monitoring", 1, session=ANN)).code == Code.AUTHORIZATION
    assert (await sandbox.call("one.vmpool.infoextended", -5, -1, -1, -1)).code == Code.XML_RPC_API
