"""The method table against the published one of 5.12: names, parameters, results and rights.

The table is read from ../shared/spec beside the repository and is never part of it.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import merope.core.commands  # noqa: F401 - declaring a method takes importing its module
from merope.core.methods import METHODS, Access, Method
from merope.model.kinds import BY_DOCUMENT

TABLE = Path(__file__).resolve().parents[3] / "shared" / "spec" / "xmlrpc.yaml"

#: Parameters of ours that the published signature has not, all at the end and optional.
MORE = {name: ("test",) for name in METHODS if name.endswith(".lock")}

#: Methods of ours that 5.12 has not.
OURS = {"one.host.recover"}

ACCESS = {
    ("uid 0 only",): Access.ONEADMIN,
    ("effective gid must be 0",): Access.ADMIN_GROUP,
}
_RIGHT = re.compile(r"(USE|MANAGE|ADMIN|CREATE)(_NO_LCK)? ([A-Z]+)")


@cache
def published() -> dict[str, Any]:
    if not TABLE.exists():
        pytest.skip("spec/xmlrpc.yaml of ../shared is not there")
    found: dict[str, Any] = yaml.safe_load(TABLE.read_text())["methods"]
    return found


def test_every_published_method_is_there_and_no_other() -> None:
    assert set(METHODS) - OURS == set(published())


def _default(param: dict[str, Any]) -> Any:
    if not param.get("opt"):
        return ...
    # An array without elements is a tuple here; the own zone is told by an empty text.
    return {"[]": (), "'#own'": ""}.get(repr(param["default"]), param["default"])


@pytest.mark.parametrize("name", sorted(METHODS.keys() - OURS))
def test_parameters_have_the_published_names_types_order_and_defaults(name: str) -> None:
    wanted = [(param["n"], param["t"], _default(param)) for param in published()[name]["params"]]
    method = METHODS[name]
    ours = [(param.name, param.type.value, param.default) for param in method.params]
    more = ours[len(wanted) :]
    assert ours[: len(wanted)] == wanted
    assert tuple(param for param, _, _ in more) == MORE.get(name, ())
    assert all(default is not ... for _, _, default in more)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - OURS))
def test_the_result_has_the_published_type(name: str) -> None:
    assert METHODS[name].returns.value == published()[name]["returns"].partition(":")[0]


@pytest.mark.parametrize("name", sorted(METHODS.keys() - OURS))
def test_what_is_hidden_from_logs_is_the_published_list(name: str) -> None:
    # Position 1 is the first parameter after the session.
    hidden = [place for place, param in enumerate(METHODS[name].params, 1) if param.hidden]
    assert hidden == published()[name].get("hidden", [])


def _needs(method: Method) -> set[str]:
    return {
        f"{need.op.name}{'' if need.lock else '_NO_LCK'} {BY_DOCUMENT[need.kind].type.name}"
        for need in method.needs
    }


@pytest.mark.parametrize("name", sorted(METHODS.keys() - OURS))
def test_rights_are_the_published_ones_or_checked_in_the_command_that_says_so(name: str) -> None:
    auth = published()[name]["auth"]
    method = METHODS[name]
    assert method.access is ACCESS.get(tuple(auth), Access.ANYONE)
    wanted = {right for right in auth if _RIGHT.fullmatch(right)}
    missing = wanted - _needs(method)
    assert _needs(method) <= wanted | _named_with_more(auth)
    assert not missing or method.also


def _named_with_more(auth: list[str]) -> set[str]:
    """The rights of entries that say more of them ("USE_NO_LCK VM (monitor op)")."""
    return {found[0] for right in auth if (found := _RIGHT.match(right))}
