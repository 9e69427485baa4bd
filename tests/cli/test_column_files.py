"""Columns as their users want them: the files that 5.12's commands read."""

import sys
from pathlib import Path

import pytest
from tests.cli.recorded import FakeCloud, Outcome, Screen, command

VMS = (
    "<VM_POOL><VM><ID>1</ID><UNAME>ann</UNAME><GNAME>users</GNAME><NAME>web</NAME><STATE>1</STATE>"
    "<LCM_STATE>0</LCM_STATE><TEMPLATE><CPU>2</CPU></TEMPLATE></VM></VM_POOL>"
)

FILE = """\
---
:ID:
  :desc: the number
  :size: 6
:NAME:
  :size: 5
  :left: false
:NOSUCH:
  :size: 3
:default:
- :ID
- :NAME
- :NOSUCH
:default_conf:
  :user:
  - :NAME
  - :STAT
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".one" / "cli").mkdir(parents=True)
    return tmp_path


def _run(home: Path, line: str, text: str | None = FILE, width: int = 0, **environ: str) -> Outcome:
    if text is not None:
        (home / ".one" / "cli" / "onevm.yaml").write_text(text)
    screen = Screen(width=width, environ={"HOME": str(home), **environ})
    return command(line, FakeCloud({"one.vmpool.info": VMS}), screen)


def test_the_file_chooses_columns_their_widths_and_sides(home: Path) -> None:
    assert _run(home, "onevm list") == Outcome(0, "    ID  NAME\n     1   web\n", "")


def test_without_a_file_the_columns_are_those_of_5_12(home: Path) -> None:
    assert _run(home, "onevm list", None).out.startswith("  ID USER     GROUP    NAME ")


def test_a_named_selection_is_chosen_by_option_or_environment(home: Path) -> None:
    expected = " NAME STAT\n  web pend\n"
    assert _run(home, "onevm list --listconf user").out == expected
    assert _run(home, "onevm list", ONE_LISTCONF="user").out == expected
    assert _run(home, "onevm list -l ID", ONE_LISTCONF="user").out == "    ID\n     1\n"


def test_a_selection_that_is_not_there_is_named(home: Path) -> None:
    message = "There is no selection of columns 'x'; there are default, all, user.\n"
    assert _run(home, "onevm list -c x").err == message


def test_describe_says_what_the_file_says(home: Path) -> None:
    assert "ID                   the number\n" in _run(home, "onevm list --describe").out


def test_the_directory_of_the_installation_is_read_when_a_user_has_no_file(home: Path) -> None:
    (home / "etc" / "cli").mkdir(parents=True)
    (home / "etc" / "cli" / "onevm.yaml").write_text(":default:\n- :NAME\n")
    assert _run(home, "onevm list --no-header", None, ONE_LOCATION=str(home)).out == "web\n"


def test_a_number_shares_the_width_of_the_terminal(home: Path) -> None:
    text = ":NAME:\n  :expand: 0.75\n:HOST:\n  :expand: 0.25\n:default: [':ID', ':NAME', ':HOST']\n"
    header = _run(home, "onevm list", text, width=71).out.splitlines()[0]
    assert header.index("HOST") - header.index("NAME") == 15 + 30 + 1
    assert len(header) == 71


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":ID: {", "cannot be read"),
        ("just words", "names and their values are expected"),
        (":ID: 5", "names and their values are expected, not '5'"),
        (":ID:\n  :size: wide", "the size of ID should be a number above 0, not 'wide'"),
        (":default: NAME", "a list of columns is expected, not 'NAME'"),
        (":default_conf:\n  :user: NAME", "a list of columns is expected"),
    ],
)
def test_a_file_that_is_wrong_is_named(home: Path, text: str, message: str) -> None:
    outcome = _run(home, "onevm list", text)
    assert (outcome.code, outcome.out) == (255, "")
    assert message in outcome.err
    assert str(home / ".one" / "cli" / "onevm.yaml") in outcome.err


def test_a_file_that_needs_a_library_names_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "install merope[yaml]" in _run(home, "onevm list").err
    (home / ".one" / "cli" / "onevm.yaml").unlink()
    assert _run(home, "onevm list", None).code == 0


def test_no_program_runs_because_of_a_file(home: Path) -> None:
    outcome = _run(home, "onevm list", f"!!python/object/apply:os.mkdir ['{home}/made']")
    assert outcome.code == 255
    assert not (home / "made").exists()


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (None, ("one.vm.action", ("resched", 5))),
        (":default_actions:\n- :flush: resched\n", ("one.vm.action", ("resched", 5))),
        (":default_actions:\n- :flush: delete-recreate\n", ("one.vm.recover", (5, 4))),
        (":default_actions:\n  :flush: delete\n", ("one.vm.recover", (5, 3))),
    ],
)
def test_the_file_says_what_flushing_a_host_does(
    home: Path, text: str | None, call: tuple[str, tuple[object, ...]]
) -> None:
    if text is not None:
        (home / ".one" / "cli" / "onehost.yaml").write_text(text)
    host = "<HOST><ID>1</ID><VMS><ID>5</ID></VMS></HOST>"
    cloud = FakeCloud({"one.host.status": 1, "one.host.info": host, "one.vm.action": 5, "one.vm.recover": 5})
    assert command("onehost flush 1", cloud, Screen(environ={"HOME": str(home)})).code == 0
    assert cloud.calls[0] == ("one.host.status", (1, 1))
    assert cloud.calls[-1] == call


def test_an_action_that_flushing_does_not_know_changes_nothing(home: Path) -> None:
    (home / ".one" / "cli" / "onehost.yaml").write_text(":default_actions:\n- :flush: explode\n")
    cloud = FakeCloud()
    outcome = command("onehost flush 1", cloud, Screen(environ={"HOME": str(home)}))
    assert outcome.err.startswith("The default action of flush should be one of resched, delete")
    assert not cloud.calls
