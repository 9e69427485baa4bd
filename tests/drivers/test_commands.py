"""What `run` promises to drivers: bounded in time and output, honest about failures, silent about secrets."""

import os
import sys
import time
from pathlib import Path

import pytest

from merope.drivers.commands import run
from merope.drivers.errors import DriverError

PYTHON = sys.executable


def python(code: str, **options: object) -> str:
    return run([PYTHON, "-c", code], timeout=20, **options).stdout  # type: ignore[arg-type]


def ends(pid: int) -> bool:
    """Whether a process that was killed is gone, or waits for init to see that, within seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_the_output_of_a_command_is_returned() -> None:
    assert run(["echo", "hello; echo $HOME"], timeout=5).stdout == "hello; echo $HOME\n"


def test_input_reaches_the_command_even_when_it_is_large() -> None:
    data = "x" * 1_000_000
    assert python("import sys; print(len(sys.stdin.read()))", input=data) == "1000000\n"


def test_a_command_that_reads_no_input_does_not_block() -> None:
    assert python("print('done')", input="x" * 1_000_000) == "done\n"


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert python(r"import sys; sys.stdout.buffer.write(b'a\xffb')") == "a\ufffdb"


def test_the_environment_is_added_to() -> None:
    assert python("import os; print(os.environ['X'], os.environ['LC_ALL'])", env={"X": "1"}) == "1 C\n"


def test_a_failure_names_the_command_its_status_and_its_last_words() -> None:
    with pytest.raises(DriverError, match=r"^sh failed with exit status 3: one / two$"):
        run(["sh", "-c", "echo one >&2; echo two >&2; exit 3"], timeout=5)


def test_a_command_ended_by_a_signal_is_a_failure() -> None:
    with pytest.raises(DriverError, match="SIGTERM"):
        run(["sh", "-c", "kill -TERM $$"], timeout=5)


def test_a_command_that_is_not_installed_is_named_and_may_be_retried() -> None:
    with pytest.raises(DriverError, match="no-such-tool is not installed") as caught:
        run(["/usr/bin/no-such-tool"], timeout=5)
    assert caught.value.retry_safe


def test_a_missing_directory_is_told_from_a_missing_command(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match=r"the directory .* does not exist"):
        run(["true"], timeout=5, cwd=tmp_path / "absent")


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    started = time.monotonic()
    with pytest.raises(DriverError, match=r"did not finish within 0\.3 seconds"):
        run(["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], timeout=0.3)
    assert time.monotonic() - started < 5
    assert ends(int(child.read_text()))


def test_a_command_that_closed_its_pipes_and_hangs_is_killed() -> None:
    with pytest.raises(DriverError, match="did not finish"):
        run([PYTHON, "-c", "import os, time; os.close(1); os.close(2); time.sleep(60)"], timeout=0.5)


def test_a_child_that_keeps_the_pipes_does_not_delay_the_answer() -> None:
    started = time.monotonic()
    assert run(["sh", "-c", "echo done; sleep 60 &"], timeout=50).stdout == "done\n"
    assert time.monotonic() - started < 10


def test_a_command_that_babbles_is_stopped() -> None:
    with pytest.raises(DriverError, match="wrote more than 100000 bytes"):
        run(["yes"], timeout=20, output_limit=100_000)


def test_of_a_long_error_output_the_end_is_kept() -> None:
    code = "import sys; sys.stderr.write('x' * 10_000_000); sys.stderr.write('\\nthe end\\n'); sys.exit(1)"
    with pytest.raises(DriverError, match=r"the end$") as caught:
        python(code)
    assert len(str(caught.value)) < 100_000


def test_a_secret_is_refused_as_an_argument() -> None:
    with pytest.raises(ValueError, match="secret must not be an argument") as caught:
        run(["echo", "--password=hunter2"], timeout=5, secrets=["hunter2"])
    assert "hunter2" not in str(caught.value)


def test_a_secret_is_blotted_out_of_errors() -> None:
    with pytest.raises(DriverError) as caught:
        run(["sh", "-c", "cat >&2; exit 1"], timeout=5, input="login hunter2 failed", secrets=["hunter2"])
    assert str(caught.value).endswith("login *** failed")


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    run(["true"], timeout=5, input="x")
    with pytest.raises(DriverError):
        run(["false"], timeout=5)
    assert len(os.listdir("/proc/self/fd")) == before
