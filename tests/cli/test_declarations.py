"""Properties of the declared tools, checked for every one of them."""

from pathlib import Path

import pytest
import yaml
from tests.cli.recorded import FakeCloud, command

from merope.cli.completion import completion_script
from merope.cli.declare import GLOBAL_OPTIONS, Command, Opt, Tool
from merope.cli.errors import UsageError
from merope.cli.main import TOOLS, load_tool
from merope.cli.parse import parse_options

SPEC = Path(__file__).parents[3] / "shared" / "spec" / "cli.yaml"

#: Sub-commands of 5.12 that come with the feature they belong to.
LATER = {
    "onevm save": "needs templates made of running machines",
    "onehost sync": "copies probes to hosts; Merope's agent brings itself along",
    "oneuser key": "belongs to the ssh authentication driver",
    "onezone serversync": "copies configuration between front ends",
}
#: Options of the tables that the spec lists again for some commands, and options that come later.
COMMON = {"--xml", "--json", "--help", "--version", "--verbose", "--user", "--password", "--endpoint"}
OPTIONS_LATER = {("onevm recover", "--interactive")}

COMMANDS = [(name, c.name) for name in TOOLS for c in load_tool(name).commands]


def _declared(tool: str, name: str) -> Command:
    found = load_tool(tool).command(name)
    assert found is not None
    return found


def _spec() -> dict[str, dict[str, dict[str, dict[str, list[str]]]]]:
    if not SPEC.exists():
        pytest.skip(f"{SPEC} is absent: the tables of 5.12 stand beside the repository")
    commands: dict[str, dict[str, dict[str, dict[str, list[str]]]]] = yaml.safe_load(SPEC.read_text())[
        "commands"
    ]
    return commands


@pytest.mark.parametrize("tool", TOOLS)
def test_every_sub_command_of_5_12_is_there(tool: str) -> None:
    declared = {c.name for c in load_tool(tool).commands}
    missing = {f"{tool} {name}" for name in _spec()[tool]["commands"] if name not in declared}
    assert missing <= LATER.keys()


@pytest.mark.parametrize("tool", [t for t in TOOLS if t != "oneacct"])
def test_every_option_of_5_12_is_understood(tool: str) -> None:
    for name, form in _spec()[tool]["commands"].items():
        if (declared := load_tool(tool).command(name)) is None:
            continue
        known = {o.name for o in declared.options} | {o.short for o in declared.options} | COMMON
        for line in form.get("opts", []):
            for option in [w for w in line.split() if w.startswith("-") and len(w) > 1]:
                if (f"{tool} {name}", option) not in OPTIONS_LATER:
                    assert option in known, f"{tool} {name} lacks {option}"


@pytest.mark.parametrize("tool", [t for t in TOOLS if t != "oneacct"])
def test_every_argument_of_5_12_can_be_given(tool: str) -> None:
    for name, form in _spec()[tool]["commands"].items():
        if (declared := load_tool(tool).command(name)) is None:
            continue
        assert len(declared.args) >= len(form["args"]), f"{tool} {name}"
        needed = sum(not a.startswith("[") for a in form["args"])
        assert sum(not a.optional for a in declared.args) <= needed, f"{tool} {name}"


@pytest.mark.parametrize("tool", [t for t in TOOLS if t not in ("onehost", "oneacct")])
def test_every_column_of_5_12_has_its_width(tool: str) -> None:
    own = load_tool(tool)
    widths = {c.name: c.size for c in (*own.columns, *own.more)}
    columns: dict[str, list[str]] = _spec()[tool]["columns"]  # type: ignore[assignment]
    for layout in (*columns["default"], *columns["other"]):
        name, _, form = layout.partition(":")
        if not form.startswith("None"):
            assert widths[name] == int("".join(c for c in form if c.isdecimal())), f"{tool} {name}"


@pytest.mark.parametrize(("tool", "name"), COMMANDS)
def test_every_command_explains_itself_without_a_cloud(tool: str, name: str) -> None:
    cloud = FakeCloud()
    outcome = command([tool, name, "--help"], cloud)
    assert outcome.code == 0
    assert outcome.out.startswith(f"{tool} {name}: ")
    assert f"Usage: {tool} {name} [options]" in outcome.out
    assert not cloud.calls


@pytest.mark.parametrize(("tool", "name"), COMMANDS)
def test_no_command_declares_an_option_twice(tool: str, name: str) -> None:
    options = _declared(tool, name).options
    names = [n for o in options for n in (o.name, o.short) if n]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("tool", "name"), COMMANDS)
def test_the_examples_of_the_help_can_be_parsed(tool: str, name: str) -> None:
    import shlex

    declared = _declared(tool, name)
    for example in declared.examples:
        words = [w for w in shlex.split(example) if w not in ("<", "password")]
        assert words[0] == name
        given, _ = parse_options((*declared.options, *GLOBAL_OPTIONS), words[1:])
        assert all(not k.startswith("-") for k in given)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_alone_lists_its_commands(tool: str) -> None:
    outcome = command([tool, "--help"], FakeCloud())
    assert outcome.code == 0
    for declared in load_tool(tool).commands:
        assert f"   {declared.name} " in outcome.out


def _every_option(tool: Tool) -> list[Opt]:
    return [*tool.options, *(o for c in tool.commands for o in c.options)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_option(shell: str) -> None:
    script = completion_script(shell)
    for name in TOOLS:
        tool = load_tool(name)
        assert name in script
        for declared in tool.commands:
            assert declared.name in script
        for option in _every_option(tool):
            assert option.name[2:] in script


def test_the_bash_completion_is_bash() -> None:
    import subprocess

    check = subprocess.run(
        ["bash", "-n"], input=completion_script("bash"), text=True, capture_output=True, check=False
    )
    assert (check.returncode, check.stderr) == (0, "")


def test_completion_for_an_unknown_shell_says_which_there_are() -> None:
    with pytest.raises(UsageError, match="bash, zsh, fish, not for tcsh"):
        completion_script("tcsh")
