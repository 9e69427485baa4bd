"""Which cardinality policies ask for: tables of expected decisions, and a year of cron."""

from datetime import UTC, datetime
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

import pytest
from tests.flow.flow_world import START, FlowWorld, body, role

from merope.client.client import parse_document
from merope.flow import elasticity
from merope.flow.elasticity import averages, target
from merope.flow.service import Adjustment, ElasticityPolicy, Role, ScheduledPolicy
from merope.flow.settings import FlowSettings
from merope.flow.states import State
from merope.flow.timetable import TimeError, read_time

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("kind", "adjust", "step", "now", "expected"),
    [
        ("CHANGE", 2, 0, 3, 5),
        ("CHANGE", -2, 0, 3, 1),
        ("CHANGE", 9, 0, 3, 8),  # max_vms
        ("CHANGE", -9, 0, 3, 1),  # min_vms
        ("CARDINALITY", 6, 0, 3, 6),
        ("CARDINALITY", 0, 0, 3, 1),
        ("CARDINALITY", 20, 0, 3, 8),
        ("PERCENTAGE_CHANGE", 50, 0, 4, 6),
        ("PERCENTAGE_CHANGE", 10, 0, 5, 6),  # less than one is one
        ("PERCENTAGE_CHANGE", -10, 2, 5, 3),  # as the seed's example
        ("PERCENTAGE_CHANGE", 60, 2, 5, 8),
        ("PERCENTAGE_CHANGE", 39, 0, 5, 6),  # cut, not rounded
        ("PERCENTAGE_CHANGE", 0, 3, 5, 5),
        ("CHANGE", 1, 0, 10, 10),  # beyond max_vms by force: not moved further away
        ("CHANGE", -1, 0, 10, 9),
        ("CHANGE", -1, 0, 0, 0),  # below min_vms by force
    ],
)
def test_an_adjustment_makes_a_cardinality(
    kind: str, adjust: int, step: int, now: int, expected: int
) -> None:
    of = Role("web", now, 0, min_vms=1, max_vms=8)
    assert target(Adjustment(kind, adjust, step), of) == expected


def test_an_attribute_is_looked_for_in_the_user_template_first_and_averaged() -> None:
    vms = [
        parse_document("<VM><USER_TEMPLATE><A>10</A></USER_TEMPLATE><MONITORING><A>99</A></MONITORING></VM>"),
        parse_document(
            "<VM><MONITORING><A>20</A><CPU>7.5</CPU></MONITORING><TEMPLATE><A>9</A></TEMPLATE></VM>"
        ),
        parse_document("<VM><USER_TEMPLATE><A>many</A></USER_TEMPLATE></VM>"),
    ]
    average = averages(vms, {})
    assert (average("A"), average("CPU"), average("B")) == (15.0, 7.5, None)


@pytest.mark.parametrize(
    ("expression", "vms", "service", "expected"),
    [
        ("LOAD > 50", ["60", "70"], {}, 3),
        ("SERVICE/AUTOSCALE = 1", [], {"AUTOSCALE": "1"}, 3),
        ("LOAD > 50 && SERVICE/AUTOSCALE = 1", ["60"], {"AUTOSCALE": "1"}, 3),
        ("LOAD > 50 && SERVICE/AUTOSCALE = 1", ["60"], {"AUTOSCALE": "0"}, 2),
        ("LOAD > 50 && SERVICE/AUTOSCALE = 1", ["40"], {"AUTOSCALE": "1"}, 2),
        ("LOAD > 50 || SERVICE/AUTOSCALE = 1", ["40"], {"AUTOSCALE": "1"}, 3),
        ("!(SERVICE/TIER >= 2.5)", [], {"TIER": "2"}, 3),
        ("SERVICE/LOAD > 50", ["60"], {}, 2),  # the VMs' is not the service's
        ("LOAD > 50", [], {"LOAD": "60"}, 2),  # nor the other way round
        ("!(SERVICE/NONE > 1)", ["60"], {"TIER": "2"}, 2),  # not known is not false
        ("SERVICE/TIER > 1", [], {"TIER": "gold"}, 2),
        ("SERVICE/TIER > 1", [], {"TIER": "inf"}, 2),
        ("SERVICE/TIER > 1", [], {"TIER": ""}, 2),
        ("SERVICE/TIER > 1", [], {"tier": "2"}, 2),  # names are told apart as they are written
    ],
)
def test_an_expression_over_vms_and_the_service_makes_a_decision(
    expression: str, vms: list[str], service: dict[str, str], expected: int
) -> None:
    documents = [_vm(f"<LOAD>{load}</LOAD>") for load in vms]
    of = Role("web", 2, 0, max_vms=9, elasticity_policies=[ElasticityPolicy("CHANGE", 1, 0, expression)])
    wish = elasticity.evaluated(of, START, averages(documents, service), 90)
    assert (wish.cardinality if wish else of.cardinality) == expected


def test_a_guest_cannot_pass_an_attribute_off_as_the_services() -> None:
    forged = _vm("<SERVICE><AUTOSCALE>1</AUTOSCALE></SERVICE>")
    assert averages([forged], {"AUTOSCALE": "0"})("SERVICE/AUTOSCALE") == 0.0
    assert averages([forged], {})("SERVICE/AUTOSCALE") is None


def _vm(user_template: str) -> Element:
    return parse_document(f"<VM><USER_TEMPLATE>{user_template}</USER_TEMPLATE></VM>")


async def test_a_service_scales_by_the_custom_attributes_it_was_given() -> None:
    policy = {"expression": "LOAD > 50 && SERVICE/AUTOSCALE = 1", "type": "CHANGE", "adjust": 1, "period": 10}
    web = role("web", 1, max_vms=2, cooldown=0, elasticity_policies=[policy])
    sizes = []
    for chosen in ("0", "1"):
        world = FlowWorld()
        await world.begin(body(web, custom_attrs_values={"AUTOSCALE": chosen}))
        world.core.vms[0].user.set("LOAD", "60")
        await world.wait(10)
        sizes.append(len(world.core.alive))
    assert sizes == [1, 2]


EXAMPLE = role(
    "web",
    2,
    min_vms=1,
    max_vms=5,
    cooldown=0,
    elasticity_policies=[
        {"expression": "ATT > 50", "type": "CHANGE", "adjust": 2, "period_number": 3, "period": 10},
        {
            "expression": "ATT < 20",
            "type": "PERCENTAGE_CHANGE",
            "adjust": -10,
            "min_adjust_step": 2,
            "period": 10,
        },
    ],
)


async def test_the_example_of_the_manual() -> None:
    """Seed 000 §1.4.7: 50 on average does nothing; above, the third time adds two; below 20, two go."""
    world = FlowWorld()
    await world.begin(body(EXAMPLE))
    world.core.vms[0].user.set("ATT", "40")
    world.core.vms[1].user.set("ATT", "60")
    for _ in range(4):
        await world.wait(10)
    assert len(world.core.alive) == 2
    world.core.vms[0].user.set("ATT", "45")
    sizes = []
    for _ in range(4):
        await world.wait(10)
        sizes.append(world.service().roles[0].cardinality)
    assert sizes == [2, 2, 4, 4]
    for vm in world.core.alive:
        vm.user.set("ATT", "19")
    await world.wait(10)
    assert len(world.core.alive) == 2


async def test_nothing_is_evaluated_while_a_role_cools_down() -> None:
    policy = {"expression": "ATT > 50", "type": "CHANGE", "adjust": 1, "period": 10, "cooldown": 100}
    world = FlowWorld()
    await world.begin(body(role("web", 1, max_vms=9, elasticity_policies=[policy])))
    world.core.vms[0].user.set("ATT", "60")
    sizes = []
    for _ in range(12):
        await world.wait(10)
        sizes.append(world.service().roles[0].cardinality)
    assert sizes == [2] * 10 + [3, 3]


async def test_without_a_period_the_interval_of_the_server_counts() -> None:
    policy = {"expression": "ATT > 50", "type": "CHANGE", "adjust": 1}
    world = FlowWorld(settings=FlowSettings(autoscaler_interval=90))
    await world.begin(body(role("web", 1, max_vms=9, cooldown=0, elasticity_policies=[policy])))
    world.core.vms[0].user.set("ATT", "60")
    await world.wait(80)
    assert len(world.core.alive) == 1
    await world.wait(10)
    assert len(world.core.alive) == 2


async def test_evaluations_in_a_row_are_shown_in_the_service() -> None:
    world = FlowWorld()
    await world.begin(body(EXAMPLE))
    world.core.vms[0].user.set("ATT", "60")
    await world.wait(10)
    shown = world.service().roles[0].elasticity_policies[0]
    assert (shown.true_evals, shown.expression_evaluated) == (1, "ATT[60] > 50")


def _year(recurrence: str, year: int) -> list[datetime]:
    """When a policy comes due in a year, by Berlin's clocks; it is looked at when it said it would be due."""
    policy = ScheduledPolicy("CHANGE", 1, recurrence=recurrence)
    of = Role("web", 1, 0, scheduled_policies=[policy])
    now = int(datetime(year, 1, 1, tzinfo=BERLIN).timestamp()) - 1
    end = int(datetime(year + 1, 1, 1, tzinfo=BERLIN).timestamp()) - 1
    elasticity.scheduled(of, now, BERLIN)
    found: list[datetime] = []
    while True:
        due = elasticity.next_look(of, now, BERLIN, 90)
        assert due is not None
        if due > end:
            return found
        now = due
        assert elasticity.scheduled(of, now, BERLIN) is not None
        assert elasticity.scheduled(of, now, BERLIN) is None
        found.append(datetime.fromtimestamp(now, BERLIN))


def test_every_morning_of_a_year_comes_once_whatever_the_clocks_do() -> None:
    mornings = _year("0 9 * * *", 2026)
    assert len(mornings) == 365
    assert {(m.hour, m.minute) for m in mornings} == {(9, 0)}


def test_what_falls_into_the_hour_left_out_runs_after_it_and_into_the_hour_that_comes_twice_once() -> None:
    nights = _year("30 2 * * *", 2026)
    assert len(nights) == 365
    odd = {(n.month, n.day): (n.hour, n.minute) for n in nights if (n.hour, n.minute) != (2, 30)}
    assert odd == {(3, 29): (3, 0)}


def test_weekdays_are_followed() -> None:
    days = _year("0 13 * * mon,tue,wed,thu,fri", 2026)
    assert len(days) == 261
    assert all(day.weekday() < 5 for day in days)


def test_hours_are_counted_through_the_change_of_the_clocks() -> None:
    hours = _year("0 * * * *", 2026)
    assert len(hours) == 365 * 24


def test_what_came_due_while_nothing_could_be_done_is_done_once_late() -> None:
    policy = ScheduledPolicy("CARDINALITY", 4, recurrence="*/10 * * * *", last_eval=START)
    of = Role("web", 1, 0, scheduled_policies=[policy])
    wish = elasticity.scheduled(of, START + 7200, UTC)
    assert wish is not None
    assert wish.cardinality == 4
    assert elasticity.scheduled(of, START + 7201, UTC) is None


async def test_a_single_time_is_followed_once() -> None:
    policy = {"start_time": str(START + 50), "type": "CARDINALITY", "adjust": 3}
    world = FlowWorld()
    await world.begin(body(role("web", 1, max_vms=5, cooldown=0, scheduled_policies=[policy])))
    await world.wait(49)
    assert len(world.core.alive) == 1
    await world.wait(1)
    assert len(world.core.alive) == 3
    await world.scale("web", 1)
    await world.wait(100)
    assert len(world.core.alive) == 1


async def test_a_time_that_was_over_when_the_service_began_is_not_followed() -> None:
    policy = {"start_time": "2nd oct 2017 15:45", "type": "CARDINALITY", "adjust": 3}
    world = FlowWorld()
    await world.begin(body(role("web", 1, max_vms=5, scheduled_policies=[policy])))
    await world.wait(100)
    assert len(world.core.alive) == 1
    assert world.states()[0] is State.RUNNING


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2nd oct 2017 15:45", datetime(2017, 10, 2, 15, 45, tzinfo=BERLIN)),
        ("2017-10-02 15:45", datetime(2017, 10, 2, 15, 45, tzinfo=BERLIN)),
        ("2017-10-02T15:45:00+00:00", datetime(2017, 10, 2, 15, 45, tzinfo=UTC)),
        ("1506951900", datetime(2017, 10, 2, 13, 45, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, expected: datetime) -> None:
    assert read_time(text, BERLIN) == int(expected.timestamp())


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(TimeError, match="start_time 'soon' is no time"):
        read_time("soon")
