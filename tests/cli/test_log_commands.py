"""onelog: the logs of this machine's cloud."""

from pathlib import Path

import pytest
from tests.cli.recorded import FakeCloud, Outcome, Screen, command


@pytest.fixture
def cloud_home(tmp_path: Path) -> Path:
    var = tmp_path / "var"
    (var / "vms" / "8").mkdir(parents=True)
    (var / "oned.log").write_text(
        "a: serving\nb: vm.deploy of 7 failed: no host\nc: vm.deploy of 77 failed\n"
        "d: virtual machine 7 is PROLOG\n"
        'e: Req:5 UID:0 one.vm.action invoked , "hold", 7\n'
        "f: Req:6 UID:0 one.vm.lock invoked , 77, 1\n"
        "h: Req:7 UID:0 one.vm.info invoked , 7, false\n"
        "g: Req:5 UID:0 one.vm.action result SUCCESS, 7\n"
    )
    (var / "vms" / "8" / "vm.log").write_text("of its own\n")
    return tmp_path


def _run(home: Path, *words: str) -> Outcome:
    return command(["onelog", *words], FakeCloud(), Screen(environ={"ONE_LOCATION": str(home)}))


def test_the_log_of_a_service_is_printed(cloud_home: Path) -> None:
    outcome = _run(cloud_home, "get", "oned")
    assert outcome.out.startswith("a: serving\n")
    assert _run(cloud_home, "get", "core") == outcome


def test_the_log_of_a_machine_is_what_is_about_it(cloud_home: Path) -> None:
    out = _run(cloud_home, "get-vm", "7").out
    assert "".join(line[0] for line in out.splitlines()) == "bdeg"


def test_a_machine_may_have_a_log_of_its_own(cloud_home: Path) -> None:
    assert _run(cloud_home, "get-vm", "8").out == "of its own\n"


def test_a_pager_gets_the_file_and_its_options(cloud_home: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/seen"\n')
    pager.chmod(0o755)
    assert _run(cloud_home, "get", "oned", "--pager", str(pager), "--pager-opts", "-a '$(x)'").code == 0
    assert (tmp_path / "seen").read_text() == f"-a $(x) {cloud_home}/var/oned.log\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("get", "nosuch"), "Service 'nosuch' not found; there are logs of: oned.\n"),
        (("get", "../vms/8/vm"), "Service '../vms/8/vm' not found; there are logs of: oned.\n"),
        (("get", "oned", "--type", "error"), "Service 'oned' not found; there are logs of: oned.\n"),
        (("get", "oned", "--type", "x"), "Log file type 'x' not found\n"),
        (("get-vm", "9"), "No LOG file found for '9' VM\n"),
        (("get", "oned", "-p", "/nosuch/pager"), "The pager '/nosuch/pager' cannot be started: No such file"),
        (("get", "oned", "-p", "false"), "The pager 'false' failed (1).\n"),
    ],
)
def test_what_cannot_be_shown_is_said(cloud_home: Path, words: tuple[str, ...], message: str) -> None:
    outcome = _run(cloud_home, *words)
    assert (outcome.code, outcome.out) == (255, "")
    assert outcome.err.startswith(message)
