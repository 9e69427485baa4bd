"""Properties of the declared tools, checked for every one of them."""

from pathlib import Path

import pytest
from tests.cli.recorded import FakeCloud, command

from merope.cli.completion import completion_script
from merope.cli.declare import Command, Opt, Tool
from merope.cli.errors import UsageError
from merope.cli.help import examples
from merope.cli.main import TOOLS, load_tool
from merope.cli.parse import parse_command

ROOT = Path(__file__).parents[2]
COMMANDS = [(name, c.name) for name in TOOLS for c in load_tool(name).commands]


def _declared(tool: str, name: str) -> Command:
    found = load_tool(tool).command(name)
    assert found is not None
    return found


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
    shown = examples(load_tool(tool), declared)
    assert shown
    for example in shown:
        words = shlex.split(example.partition(" < ")[0])
        assert words[0] == name
        parse_command(load_tool(tool), declared, words[1:])


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


def test_help_before_a_command_is_the_help_of_the_command() -> None:
    cloud = FakeCloud()
    assert command("onevm help create", cloud) == command("onevm create --help", cloud)
    assert command("onevm help nosuch", cloud).err.startswith("Command 'nosuch' not found")


def test_the_package_has_a_program_for_every_tool() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    scripts = project["scripts"].items()
    own = {name for name, entry in scripts if entry == f"merope.cli.main:{name.replace('-', '_')}"}
    assert own == TOOLS.keys()


def test_there_is_no_entry_point_for_what_is_no_tool() -> None:
    from merope.cli import main

    assert callable(main.onevm)
    with pytest.raises(AttributeError, match="nosuch"):
        _ = main.nosuch
