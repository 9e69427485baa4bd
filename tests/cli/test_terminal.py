"""The process's own world: the editor, files, pipes."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from merope.cli.errors import CliError
from merope.cli.terminal import Terminal


def _terminal(environ: dict[str, str], stdin: str = "", interactive: bool = False) -> Terminal:
    return Terminal(io.StringIO(), io.StringIO(), io.StringIO(stdin), environ, interactive=interactive)


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """An editor that notes the mode of its file and adds a line."""
    script = tmp_path / "an editor"
    script.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "path = sys.argv[-1]\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(f'{{path}} {{os.stat(path).st_mode & 0o777:o}}')\n"
        "if '--keep' not in sys.argv:\n"
        "    open(path, 'a').write('B=2\\n')\n"
    )
    script.chmod(0o700)
    return script


def test_the_editor_gets_a_private_file_that_goes_away(editor: Path, tmp_path: Path) -> None:
    terminal = _terminal({"EDITOR": f"'{editor}' --wait"})
    assert terminal.edit("A=1\n") == "A=1\nB=2\n"
    path, mode = (tmp_path / "seen").read_text().rsplit(" ", 1)
    assert mode == "600"
    assert not os.path.exists(path)


def test_an_unchanged_text_is_no_edit(editor: Path) -> None:
    assert _terminal({"EDITOR": f"'{editor}' --keep"}).edit("A=1\n") is None


@pytest.mark.parametrize("command", ["/nosuch/editor", "false", "'unclosed"])
def test_an_editor_that_fails_changes_nothing(command: str) -> None:
    with pytest.raises(CliError, match="editor"):
        _terminal({"EDITOR": command}).edit("A=1\n")


def test_the_editors_command_is_no_shell_command(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(CliError):
        _terminal({"EDITOR": f"false; touch {mark}"}).edit("A=1\n")
    assert not mark.exists()


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(CliError, match="binary cannot be read"):
        _terminal({}).read_file(str(tmp_path / "binary"))


def test_a_question_reads_a_line() -> None:
    terminal = _terminal({}, "yes\nno\n", interactive=True)
    assert terminal.ask("Sure? ") == "yes"


def test_nobody_is_asked_when_nobody_sits_there() -> None:
    with pytest.raises(CliError, match="nobody sits"):
        _terminal({}, "yes\n").ask("Sure? ")


def _run(words: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "merope.cli.main", *words],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], **environ},
    )  # fmt: skip


def test_the_module_runs_a_tool() -> None:
    done = _run(["onevm", "--version"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Merope ")


def test_a_process_fails_with_255(tmp_path: Path) -> None:
    done = _run(["onevm", "list"], ONE_XMLRPC="http://127.0.0.1:1/RPC2", ONE_AUTH="a:b", HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr.startswith("http://127.0.0.1:1/RPC2: cannot connect: ")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "merope.cli.main", "onevm", "--help"],
            stdout=pipe, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_list_needs_no_heavy_modules() -> None:
    """Start-up is a feature: what costs milliseconds must not creep in."""
    code = (
        "import sys; from merope.cli.main import load_tool; load_tool('onevm');"
        "print(','.join(m for m in ('argparse','dataclasses','http.client','json','email','ssl','yaml',"
        "'subprocess','xmlrpc.client','asyncio','urllib.request','hashlib','getpass') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_width_is_that_of_the_terminal_and_nothing_without_one() -> None:
    assert Terminal.of_process().width == 0


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "text",
    [
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x1b[6n",
        "\x9b31m",
        "\x9d0;t\x9c",
        "a\rb",
        "\x08",
        "\u202eexe.tpl",
        "\x7f",
    ],
)
def test_a_text_of_a_user_cannot_steer_a_terminal(text: str) -> None:
    screen, errors = _Screen(), _Screen()
    terminal = Terminal(screen, errors, io.StringIO(), {})
    terminal.print(f'NAME="{text}"')
    terminal.warn(text)
    for shown in (screen.getvalue(), errors.getvalue()):
        assert not set(shown) & set("\x1b\x9b\x9d\x9c\x07\x08\r\x7f\u202e")


def test_colours_lines_and_letters_of_all_languages_reach_a_terminal() -> None:
    screen = _Screen()
    text = "\x1b[1m\x1b[4mNAME\x1b[0m\n\tÅngström שלום 日本"
    Terminal(screen, io.StringIO(), io.StringIO(), {}).print(text)
    assert screen.getvalue() == text + "\n"


def test_a_file_gets_every_character() -> None:
    out = io.StringIO()
    Terminal(out, io.StringIO(), io.StringIO(), {}).print("a\rb\x9b")
    assert out.getvalue() == "a\rb\x9b\n"
