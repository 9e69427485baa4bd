"""The helper VM is a machine with a stock kernel and this machine's files, which it cannot change."""

import os
import subprocess
from pathlib import Path

import pytest
from tests import helper_vm

WRITTEN = Path(__file__).with_name("written-in-the-helper-vm")


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.helper_vm
def test_a_marked_test_runs_inside() -> None:
    assert helper_vm.INSIDE
    assert os.uname().nodename == "helper-vm"


@pytest.mark.helper_vm
def test_the_kernel_has_vlans_and_device_mapper() -> None:
    run("modprobe", "-a", "8021q", "dm_mod")
    run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
    run("ip", "link", "add", "link", "left", "name", "left.7", "type", "vlan", "id", "7")
    assert "802.1Q id 7" in run("ip", "-d", "link", "show", "left.7")
    assert Path("/dev/mapper/control").exists()


@pytest.mark.helper_vm
def test_what_is_written_inside_is_read_there() -> None:
    WRITTEN.write_text("once")
    assert WRITTEN.read_text() == "once"


def test_nothing_that_is_written_inside_is_here_afterwards() -> None:
    assert helper_vm.INSIDE or not WRITTEN.exists()
