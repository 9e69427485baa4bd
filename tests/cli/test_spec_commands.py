"""Every command of 5.12, with its sub-commands, arguments, options and columns, against the declared tools.

The comparison is generated from spec/cli.yaml (read mechanically from 5.12); what is not the same stands
here with its reason, and no longer than it differs.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from merope.cli.declare import GLOBAL_OPTIONS, Arg, Column, Command, Tool
from merope.cli.main import TOOLS, load_tool

SPEC = Path(__file__).parents[3] / "shared" / "spec" / "cli.yaml"

#: Commands whose subject does not exist yet, or (vCenter) never will.
TOOLS_LATER = {
    "oneprovision": "clusters on rented hosts",
    "onevcenter": "vCenter is no hypervisor of Merope",
}
#: What is different on purpose.
DIFFERENT = {
    "onezone serversync": "copies the configuration between front ends, which are a later part",
    "onedatastore has other default columns": "USER and GROUP are recorded",
    # The recorded output is the authority for the side to which a column is aligned.
    "onehook column TYPE is aligned left": "recorded",
    "onevmgroup column VMS is aligned left": "recorded",
    "oneshowback column USER_NAME is aligned left": "recorded",
    "oneshowback column GROUP_NAME is aligned left": "recorded",
    "oneshowback column VM_NAME is aligned left": "recorded",
    "onezone column ENDPOINT is aligned left": "recorded",
    "onezone column FED_INDEX is aligned left": "recorded",
    "oneacl column STRING has no width in 5.12": "it is as wide as its content",
    "onemarket column ZONE has no width in 5.12": "recorded with 4",
}
#: The words that the spec uses for lists of objects and for files are words of 5.12's own.
_LIST = re.compile(r"(?:range\|)?\w+_list|range")
_LAYOUT = re.compile(r"(?P<name>[^:]+):(?P<size>None|\d+)(?P<side>[LR])(?P<flags>[+~]*)")
#: onehost's table is computed in 5.12, so that the spec's first line is no column.
_NO_COLUMN = "{':flush'"

Spec = dict[str, Any]


def _spec() -> Spec:
    if not SPEC.exists():
        pytest.skip(f"{SPEC} is absent: the tables of 5.12 stand beside the repository")
    commands: Spec = yaml.safe_load(SPEC.read_text())["commands"]
    return commands


def _spec_options(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Each name of an option and whether it takes a value: `-m x --multiple x`."""
    for line in lines:
        names = [w for w in line.split() if re.fullmatch(r"--?[A-Za-z0-9][\w-]*", w)]
        has_value = bool([w for w in line.split() if w not in names])
        yield from ((name, has_value) for name in names)


def _differences(tool: Tool, spec: Spec) -> Iterator[str]:
    for name, form in spec["commands"].items():
        declared = tool.command(name)
        if declared is None:
            yield f"{tool.name} {name}"
            continue
        yield from _options(tool, declared.options, f"{tool.name} {name}", form.get("opts", []))
        yield from _arguments(f"{tool.name} {name}", declared, form["args"])
    if tool.run is not None:
        yield from _options(tool, tool.options, tool.name, spec.get("own_options", []))
    yield from _columns(tool, spec["columns"])


def _options(tool: Tool, declared: Any, where: str, lines: list[str]) -> Iterator[str]:
    known = {n: bool(o.value) for o in reversed((*declared, *GLOBAL_OPTIONS)) for n in (o.name, o.short) if n}
    if tool.name == "onezone" and where.endswith("server-add"):
        # Written there as "-n server_name --name".
        known |= {"--name": True, "--rpc": True}
    for name, has_value in _spec_options(lines):
        if name not in known:
            yield f"{where} {name}"
        elif known[name] != has_value:
            yield f"{where} {name} takes {'a value' if has_value else 'no value'}"


def _arguments(where: str, declared: Command, wanted: list[str]) -> Iterator[str]:
    def is_optional(arg: Arg) -> bool:
        # What may be left out here as well is more than 5.12 allows, and does no harm.
        return arg.optional

    if len(declared.args) < len(wanted):
        yield f"{where} has {len(declared.args)} arguments of {len(wanted)}"
        return
    for arg, word in zip(declared.args, wanted, strict=False):
        if word.startswith("[") and not is_optional(arg):
            yield f"{where} argument {word} cannot be left out"
        if _LIST.fullmatch(word.strip("[]")) and not (arg.many or word == "range"):
            yield f"{where} argument {word} is no list"
    if [a.name for a in declared.args[len(wanted) :] if not is_optional(a)]:
        yield f"{where} needs more arguments"


def _columns(tool: Tool, wanted: dict[str, list[str]]) -> Iterator[str]:
    every = {c.name: c for c in (*tool.columns, *tool.more)}
    default = [layout for layout in wanted["default"] if not layout.startswith(_NO_COLUMN)]
    if default and [c.name for c in tool.columns] != [layout.partition(":")[0] for layout in default]:
        yield f"{tool.name} has other default columns"
    for layout in (*default, *wanted["other"]):
        match = _LAYOUT.fullmatch(layout)
        assert match, f"{tool.name}: {layout} is no column"
        if (column := every.get(match["name"])) is None:
            yield f"{tool.name} column {match['name']}"
        else:
            yield from _column(f"{tool.name} column {match['name']}", column, match)


def _column(where: str, column: Column, wanted: re.Match[str]) -> Iterator[str]:
    if wanted["size"] == "None":
        yield f"{where} has no width in 5.12"
        return
    if column.size != int(wanted["size"]):
        yield f"{where} has the width {column.size}"
    if column.left != (wanted["side"] == "L"):
        yield f"{where} is aligned {'left' if column.left else 'right'}"
    if column.expand != ("+" in wanted["flags"]):
        yield f"{where} expands: {column.expand}"


@pytest.mark.parametrize("name", [*TOOLS, *TOOLS_LATER])
def test_a_command_is_that_of_5_12(name: str) -> None:
    spec = _spec()
    if name not in spec:
        pytest.skip(f"{name} is no command of the spec (onelog came without a table of its own)")
    if name in TOOLS_LATER:
        assert name not in TOOLS
        return
    found = list(_differences(load_tool(name), spec[name]))
    assert [d for d in found if d not in DIFFERENT] == []


def test_no_command_of_5_12_is_forgotten() -> None:
    assert set(_spec()) - TOOLS_LATER.keys() - TOOLS.keys() == set()


def test_every_difference_that_is_noted_is_one() -> None:
    spec = _spec()
    found = {d for name in TOOLS if name in spec for d in _differences(load_tool(name), spec[name])}
    assert DIFFERENT.keys() - found == set()
