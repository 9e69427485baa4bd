"""Showback: what VMs cost in each month."""

from datetime import UTC, datetime
from itertools import pairwise
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.conftest import Core, example, flat
from tests.core.schemas import check_schema

from merope.core.showback import (
    Charge,
    Owner,
    Rates,
    Usage,
    charges,
    month_start,
    periods,
    read_usage,
    record,
)
from merope.model.errors import Code

HOUR = 3600
NOVEMBER = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
DECEMBER = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
RATES = Rates(cpu=2, memory=0.5, disk=0.25)


def usage(start: int, end: int, rates: Rates = RATES, vm: int = 7) -> Usage:
    return Usage(vm, start, end, 2, 16, 8, rates)


def test_a_vm_costs_what_its_cpus_memory_and_disks_cost_for_the_hours_that_it_had_a_host() -> None:
    months = periods(NOVEMBER, DECEMBER, UTC)
    found = charges([usage(NOVEMBER + HOUR, NOVEMBER + 4 * HOUR)], months)
    charge = found[7, 2026, 11]
    assert (charge.cpu, charge.memory, charge.disk) == (2 * 2 * 3, 0.5 * 16 * 3, 0.25 * 8 * 3)
    assert charge.seconds == 3 * HOUR


def test_a_stay_over_the_end_of_a_month_is_divided_between_the_months() -> None:
    months = periods(NOVEMBER, DECEMBER + 10 * HOUR, UTC)
    found = charges([usage(DECEMBER - HOUR, DECEMBER + 2 * HOUR)], months)
    assert {key: charge.seconds for key, charge in found.items()} == {
        (7, 2026, 11): HOUR,
        (7, 2026, 12): 2 * HOUR,
    }


def test_a_vm_that_still_has_its_host_is_charged_until_the_end_of_the_time() -> None:
    months = periods(NOVEMBER, NOVEMBER + 5 * HOUR, UTC)
    assert charges([usage(NOVEMBER, 0)], months)[7, 2026, 11].seconds == 5 * HOUR


def test_the_records_of_a_vm_add_up() -> None:
    months = periods(NOVEMBER, DECEMBER, UTC)
    stays = [
        usage(NOVEMBER, NOVEMBER + HOUR),
        usage(NOVEMBER + 2 * HOUR, NOVEMBER + 3 * HOUR),
        usage(NOVEMBER, NOVEMBER + HOUR, vm=8),
    ]
    found = charges(stays, months)
    assert (found[7, 2026, 11].seconds, found[8, 2026, 11].seconds) == (2 * HOUR, HOUR)


def test_months_are_those_of_the_zone() -> None:
    zone = ZoneInfo("Europe/Madrid")
    assert month_start(2026, 11, zone) == NOVEMBER - HOUR
    assert month_start(2026, 13, zone) == month_start(2027, 1, zone)
    october = periods(month_start(2026, 10, zone), month_start(2026, 11, zone), zone)
    # The month in which the clocks go back is an hour longer.
    assert [(month.month, month.end - month.start) for month in october] == [(10, 31 * 24 * HOUR + HOUR)]


EPOCHS = st.integers(min_value=0, max_value=4_000_000_000)


@given(EPOCHS, st.integers(min_value=1, max_value=100_000_000))
def test_months_follow_each_other_without_a_gap(start: int, length: int) -> None:
    months = periods(start, start + length, UTC)
    assert months[0].start <= start
    assert months[-1].end == start + length
    for before, after in pairwise(months):
        assert before.end == after.start


@given(EPOCHS, st.integers(min_value=0, max_value=10**8), st.integers(min_value=1, max_value=10**8))
def test_no_second_of_a_stay_is_charged_twice_or_forgotten(start: int, stay: int, length: int) -> None:
    months = periods(start, start + length, UTC)
    found = charges([usage(start or 1, (start or 1) + stay)], months)
    covered = max(min((start or 1) + stay, start + length) - max(start or 1, months[0].start), 0)
    assert sum(charge.seconds for charge in found.values()) == covered


def test_what_a_record_says_is_read_with_the_prices_of_the_vm_or_else_of_the_cloud() -> None:
    vm = (
        "<VM><TEMPLATE><CPU><![CDATA[0.5]]></CPU><CPU_COST><![CDATA[3]]></CPU_COST>"
        "<DISK><SIZE><![CDATA[10]]></SIZE><DISK_SNAPSHOT_TOTAL_SIZE><![CDATA[5]]></DISK_SNAPSHOT_TOTAL_SIZE>"
        "</DISK><DISK><SIZE><![CDATA[1]]></SIZE></DISK><MEMORY><![CDATA[64]]></MEMORY></TEMPLATE></VM>"
    )
    text = f"<HISTORY><OID>3</OID><STIME>10</STIME><ETIME>20</ETIME>{vm}</HISTORY>"
    assert read_usage(text, Rates(1, 2, 4)) == Usage(3, 10, 20, 0.5, 64, 16, Rates(3, 2, 4))


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValueError, match="not a history record"):
        read_usage("<HISTORY>", Rates())


def test_a_document_is_the_recorded_one() -> None:
    text = record(0, 2026, 11, Owner("web-1", 0, 0, "oneadmin", "oneadmin"), Charge())
    recorded = example("showback.xml")[0]
    assert flat(ElementTree.fromstring(text)) == flat(recorded)


def test_small_costs_are_not_lost_and_names_are_escaped() -> None:
    text = record(0, 2026, 11, Owner("<a&b>", 0, 0, "u", "g"), Charge(0.00125, 10, 1234567.5, 5400))
    root = ElementTree.fromstring(text)
    assert root.findtext("VMNAME") == "<a&b>"
    costs = [root.findtext(f"{name}_COST") for name in ("CPU", "MEMORY", "DISK", "TOTAL")]
    assert costs == ["0.00125", "10", "1234567.5", "1234577.50125"]
    assert root.findtext("HOURS") == "1.50"
    check_schema(f"<SHOWBACK_RECORDS>{text}</SHOWBACK_RECORDS>", "showback")


@pytest.mark.parametrize("span", [(0, 2026, -1, -1), (13, 2026, -1, -1), (1, 2026, 14, 2026), (1, 1, -1, -1)])
def test_a_month_that_there_is_not_is_refused(core: Core, span: tuple[int, ...]) -> None:
    for method, before in (("one.vmpool.showback", (-2,)), ("one.vmpool.calculateshowback", ())):
        assert core.fails(0, method, *before, *span).code is Code.XML_RPC_API


def test_only_administrators_have_costs_calculated(core: Core) -> None:
    ann = core.user("ann")
    assert core.fails(ann, "one.vmpool.calculateshowback", -1, -1, -1, -1).code is Code.AUTHORIZATION


def test_a_filter_that_is_none_is_refused(core: Core) -> None:
    assert core.fails(0, "one.vmpool.showback", -5, -1, -1, -1, -1).code is Code.XML_RPC_API
