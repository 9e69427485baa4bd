"""Where a libvirtd of the cloud's own keeps its things, and what it is told. Real ones are in tests/real."""

from pathlib import Path

import pytest

from merope.daemon.libvirtd import OwnLibvirtd, _hosts_with, ensure
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.libvirt_settings import KVMRC, write_kvmrc


def test_its_sockets_are_under_the_home_while_the_path_is_short_enough() -> None:
    assert OwnLibvirtd(Path("/srv/cloud")).sockets == Path("/srv/cloud/libvirt/run")
    assert OwnLibvirtd(Path("/srv/cloud")).uri.endswith("socket=/srv/cloud/libvirt/run/libvirt-sock")


def test_a_home_with_a_long_path_has_its_sockets_in_run() -> None:
    sockets = OwnLibvirtd(Path("/srv") / ("x" * 90)).sockets
    assert sockets.parent == Path("/run")
    assert len(str(sockets)) < 40
    assert sockets != OwnLibvirtd(Path("/srv") / ("y" * 90)).sockets


def test_a_path_with_blanks_is_quoted_in_the_uri() -> None:
    assert OwnLibvirtd(Path("/a b")).uri == "qemu+unix:///system?socket=/a%20b/libvirt/run/libvirt-sock"


def test_this_machine_is_in_its_hosts_file() -> None:
    assert _hosts_with("no-such-name").splitlines()[-1] == "127.0.1.1 no-such-name"
    assert "127.0.1.1 localhost" not in _hosts_with("localhost")


def test_none_runs_where_none_was_started(tmp_path: Path) -> None:
    own = OwnLibvirtd(tmp_path)
    assert own.process() is None
    assert not own.stop()


def test_a_libvirtd_that_the_site_names_is_used_and_none_started(tmp_path: Path) -> None:
    pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")
    write_kvmrc(tmp_path / KVMRC, {"LIBVIRT_URI": "test:///default"})
    said: list[str] = []
    assert ensure(tmp_path, said.append) == "test:///default"
    assert said == ["libvirt at test:///default, as kvmrc says"]
    assert not (tmp_path / "libvirt").exists()


def test_a_libvirtd_that_the_site_names_in_vain_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")
    write_kvmrc(tmp_path / KVMRC, {"LIBVIRT_URI": "test:///nowhere.xml"})
    with pytest.raises(DriverError, match=r"cannot connect to test:///nowhere\.xml"):
        ensure(tmp_path, lambda _: None)
