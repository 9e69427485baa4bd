"""The table of commands of `one`: help, completion, and the parts that live elsewhere."""

import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from merope.daemon import completion, one


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        one.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert [c.name for c in one.COMMANDS if c.name not in text] == []


@pytest.mark.parametrize(
    "words", [[], ["dance"], ["start", "--port", "http"], ["start", "--drivers", "real"]]
)
def test_a_command_line_that_is_not_understood_ends_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        one.main(words)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("module", "words", "given"),
    [
        ("merope.store.maintenance", ["backup", "--home", "/h", "x"], ["backup", "--home", "/h", "x"]),
        ("merope.store.maintenance", ["fsck"], ["fsck", "--home", "{home}"]),
        ("merope.simulation", ["simulate", "--seeds", "5"], ["--seeds", "5"]),
        ("merope.daemon.demo", ["demo", "up"], ["up"]),
    ],
)
def test_a_command_that_lives_elsewhere_gets_the_rest_of_the_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, words: list[str], given: list[str]
) -> None:
    seen: list[list[str]] = []
    elsewhere = types.ModuleType(module)
    elsewhere.main = lambda argv: seen.append(argv) or 4  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, module, elsewhere)
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    assert one.main(words) == 4
    assert seen == [[word.format(home=tmp_path / "var") for word in given]]


def test_bash_completes_commands_and_their_options(tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(completion.script("bash", one.COMMANDS))
    ask = (
        f'. {script}; COMP_WORDS=(one st); COMP_CWORD=1; _one; echo "${{COMPREPLY[*]}}";'
        'COMP_WORDS=(one logs --f); COMP_CWORD=2; _one; echo "${COMPREPLY[*]}"'
    )
    answer = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["start stop status", "--follow"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_accept_their_completion(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(completion.script(shell, one.COMMANDS))
    assert all(c.name in script.read_text() for c in one.COMMANDS)
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell} to read it")
    subprocess.run([shell, "-n", script], check=True)


def test_looking_at_a_cloud_loads_no_library_that_it_has_no_use_for() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import merope.daemon.one, merope.daemon.status, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"asyncio", "http.client", "xml.etree.ElementTree", "merope.model.settings", "logging"}
    assert heavy & set(loaded) == set()
