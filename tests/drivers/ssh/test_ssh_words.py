"""What crosses SSH is words: no shell reads more in them than they are."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merope.drivers.errors import DriverError
from merope.drivers.ssh_words import host_name, shell_line

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_NASTY = st.sampled_from(
    [
        "",
        "'",
        "\\",
        "\\'",
        "'\\''",
        "$(id)",
        "`id`",
        ";id",
        "a\nb",
        "-n",
        "~",
        "*",
        "#",
        "!!",
        "\\\\",
        "\t",
        "&",
    ]
)
_SHELLS = [shell for shell in ("sh", "bash", "fish", "zsh") if shutil.which(shell)]


def understood(shell: str, line: str) -> list[str]:
    """The words that a shell runs a program with."""
    told = subprocess.run(
        [shell, "-c", f"exec printf '%s\\0' {line}"], capture_output=True, check=True
    ).stdout
    return told.decode().split("\0")[:-1]


@pytest.mark.parametrize("shell", _SHELLS)
@settings(max_examples=150)
@given(words=st.lists(_TEXT | _NASTY, min_size=1, max_size=4))
def test_a_shell_takes_the_line_for_exactly_the_words(shell: str, words: list[str]) -> None:
    assert understood(shell, shell_line(words)) == words


def test_a_nul_character_is_refused() -> None:
    with pytest.raises(DriverError, match="NUL"):
        shell_line(["a\0b"])


@pytest.mark.parametrize("name", ["node1", "n", "10.0.0.1", "fe80::1", "node-1.example.org"])
def test_names_and_addresses_are_names_of_hosts(name: str) -> None:
    assert host_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-oProxyCommand=id", "a b", "a;b", "$(id)", "a\n", "user@node1", "é", "a" * 300]
)
def test_what_is_an_option_or_has_strange_characters_is_no_name_of_a_host(name: str) -> None:
    with pytest.raises(DriverError, match="not the name of a host"):
        host_name(name)
