"""What a service template may be, and what is said of one that is not."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.flow.flow_world import body, role

from merope.flow.schema import TemplateError, check, check_values, find_cycle


def policy(**more: Any) -> dict[str, Any]:
    return {"type": "CHANGE", "adjust": 1, **more}


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ([], "template: [] must be of type object"),
        ({"name": "x"}, "template: roles is missing"),
        ({"name": "x", "roles": []}, "roles: [] should be non-empty"),
        (body({"name": "a"}), "roles[0]: vm_template is missing"),
        (body(role("a b")), r"roles[0].name: 'a b' must match ^\w+$"),
        (body(role(cardinality=-1)), "roles[0].cardinality: -1 must be 0 or more"),
        (body({**role(), "cardinality": "2"}), "roles[0].cardinality: '2' must be of type integer"),
        (body(role(shutdown_action="kill")), "roles[0].shutdown_action: 'kill' is none of 'terminate'"),
        (body(deployment="random"), "deployment: 'random' is none of 'none', 'straight'"),
        (body(ready_status_gate="yes"), "ready_status_gate: 'yes' must be of type boolean"),
        (body(role(), role()), "roles[1].name: there are two roles 'web'"),
        (body(role(parents=["db"])), "roles[0].parents[0]: there is no role 'db'"),
        (body(role("a", parents=["b"]), role("b", parents=["a"])), "go round in a circle: a → b → a"),
        (body(role("a", parents=["a"])), "roles: the parents go round in a circle: a → a"),
        (body(role(min_vms=3, max_vms=2)), "roles[0].max_vms: 2 is less than min_vms, 3"),
        (body(role(min_vms=3)), "roles[0].cardinality: 1 is less than min_vms, 3"),
        (body(role(cardinality=3, max_vms=2)), "roles[0].cardinality: 3 is more than max_vms, 2"),
        (
            body(role(elasticity_policies=[policy(expression="A >")])),
            "roles[0].elasticity_policies[0].expression: a number is expected, not the end (position 4)",
        ),
        (body(role(elasticity_policies=[policy()])), "elasticity_policies[0]: expression is missing"),
        (
            body(role(scheduled_policies=[policy(recurrence="99 * * * *")])),
            "roles[0].scheduled_policies[0]: recurrence '99 * * * *' is not cron's syntax",
        ),
        (
            body(role(scheduled_policies=[policy(recurrence="0 0 31 2 *")])),
            "roles[0].scheduled_policies[0]: recurrence '0 0 31 2 *' is not cron's syntax",
        ),
        (
            body(role(scheduled_policies=[policy(recurrence="* * *")])),
            "roles[0].scheduled_policies[0]: recurrence '* * *' must have five fields",
        ),
        (
            body(role(scheduled_policies=[policy()])),
            "roles[0].scheduled_policies[0]: recurrence or start_time is missing",
        ),
        (
            body(networks_values=[{"N": {"extra": "x"}}]),
            "networks_values[0].N: {'extra': 'x'} needs one of id, reserve_from, template_id",
        ),
    ],
)  # fmt: skip
def test_a_template_that_is_wrong_is_refused_with_the_path(template: Any, says: str) -> None:
    with pytest.raises(TemplateError) as refusal:
        check(template)
    assert says in str(refusal.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(TemplateError) as refusal:
        check(body(role(cardinality=-1), deployment="x"))
    assert len(str(refusal.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("declared", "given_value", "says"),
    [
        ("M|text|who", None, "custom_attrs_values.who: a value is needed (M|text|who)"),
        ("M|number|who", "many", "custom_attrs_values.who: 'many' is no whole number"),
        ("O|range|who|1..5", "9", "custom_attrs_values.who: 9 is not between 1 and 5"),
        ("O|list|who|a,b", "c", "custom_attrs_values.who: 'c' is none of a, b"),
        ("O|boolean|who", "maybe", "custom_attrs_values.who: 'maybe' is neither YES nor NO"),
    ],
)
def test_custom_attributes_have_their_types(declared: str, given_value: str | None, says: str) -> None:
    values = {} if given_value is None else {"who": given_value}
    with pytest.raises(TemplateError) as refusal:
        check_values(body(custom_attrs={"who": declared}, custom_attrs_values=values))
    assert says in str(refusal.value)


def test_a_default_stands_where_nothing_is_said() -> None:
    made = check_values(body(custom_attrs={"who": "M|text|who| |Ann"}))
    assert made["custom_attrs_values"] == {"who": "Ann"}


@pytest.mark.parametrize(
    ("declared", "chosen"),
    [
        ("M|network|own| |id:5", {"id": "5"}),
        ("M|network|own|id|5", {"id": "5"}),
        (
            "M|network|own| |template_id:3:AR=[SIZE=5,TYPE=ETHER]",
            {"template_id": "3", "extra": "AR=[SIZE=5,TYPE=ETHER]"},
        ),
        ("O|network|own| |reserve_from:0:NAME=x", {"reserve_from": "0", "extra": "NAME=x"}),
    ],
)
def test_a_network_may_have_a_default(declared: str, chosen: dict[str, str]) -> None:
    assert check_values(body(networks={"Own": declared}))["networks_values"] == [{"Own": chosen}]
    other = [{"Own": {"id": 7}}]
    assert check_values(body(networks={"Own": declared}, networks_values=other))["networks_values"] == other


def test_a_network_that_is_declared_must_be_chosen() -> None:
    with pytest.raises(TemplateError, match="network 'Own' is needed"):
        check_values(body(networks={"Own": "M|network|own"}))


def test_a_network_that_is_not_declared_is_refused() -> None:
    chosen = [{"Own": {"id": 0}}, {"Owm": {"id": 1}}]
    with pytest.raises(TemplateError, match="'Owm' is none of the networks, Own"):
        check_values(body(networks={"Own": "M|network|own"}, networks_values=chosen))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["name", "roles", "deployment", "networks_values", "x"]), _JSON))
def test_any_json_is_a_template_or_is_refused(template: dict[str, Any]) -> None:
    with contextlib.suppress(TemplateError):
        assert check(template) is template


@given(st.dictionaries(st.integers(0, 6), st.lists(st.integers(0, 6), max_size=3), max_size=7))
def test_a_cycle_is_found_where_there_is_one(graph: dict[int, list[int]]) -> None:
    parents = {str(k): [str(p) for p in v] for k, v in graph.items()}
    left = dict(parents)
    while free := [n for n, ps in left.items() if not any(p in left for p in ps)]:
        for name in free:
            del left[name]
    cycle = find_cycle(parents)
    assert bool(cycle) == bool(left)
    assert all(parent in parents[child] for child, parent in itertools.pairwise(cycle))


def test_the_example_of_the_documentation_is_a_template() -> None:
    page = (Path(__file__).parents[2] / "docs" / "flow.md").read_text()
    example = json.loads(page.partition("```json\n")[2].partition("```")[0])
    assert check(example) is example
