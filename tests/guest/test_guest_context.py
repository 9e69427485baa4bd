"""The demonstration guest reads exactly the variables that a CONTEXT image has, and runs none of them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merope.drivers.context import script

READER = Path(__file__).resolve().parents[2] / "guest/root/lib/context.awk"
BUSYBOX = shutil.which("busybox") or ""

pytestmark = pytest.mark.skipif(not BUSYBOX, reason="busybox, the guest's shell, is not installed")

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
values = st.text(
    st.characters(min_codepoint=9, max_codepoint=0x2FF, exclude_categories=["Cc"]) | st.just("\n")
)


def read(text: str) -> "subprocess.CompletedProcess[bytes]":
    argv = [BUSYBOX, "awk", "-f", str(READER)]
    return subprocess.run(argv, input=text.encode(), capture_output=True, check=False)


def sourced(assignments: bytes, name: str) -> str:
    """The value of CTX_`name` in the guest's shell after it has read the assignments."""
    program = assignments + f"\nprintf '%s' \"$CTX_{name}\"\n".encode()
    argv = [BUSYBOX, "env", "-i", BUSYBOX, "sh"]
    return subprocess.run(argv, input=program, capture_output=True, check=True).stdout.decode()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, values, min_size=1, max_size=5))
def test_every_value_arrives_as_it_was(variables: dict[str, str]) -> None:
    done = read(script(variables))
    assert done.returncode == 0, done.stderr
    for name, value in variables.items():
        assert sourced(done.stdout, name) == value


@pytest.mark.parametrize(
    "text",
    [
        "A='1'\nreboot\n",
        "A='1'; reboot\n",
        "A=$(reboot)\n",
        "A='open\n",
        "A B='1'\n",
        "A='1'B='2'\n",
        "=''\n",
    ],
)
def test_a_file_that_is_more_than_assignments_is_read_no_further(text: str) -> None:
    done = read(text)
    assert done.returncode == 1
    assert b"reboot" not in done.stdout
    assert b"not a list of assignments" in done.stderr


def test_no_variable_of_the_guest_can_be_overwritten() -> None:
    done = read(script({"PATH": "/evil", "IFS": "x"}))
    assert {line.split(b"=")[0] for line in done.stdout.splitlines()} == {b"CTX_PATH", b"CTX_IFS"}
