"""Which paths are allowed: the rules of SAFE_DIRS and RESTRICTED_DIRS, and the shapes of a VM's files."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.drivers.errors import DriverError
from merope.drivers.paths import Allowed, directories, image_path, vm_parts, vm_path

LOCATION = Path("/var/lib/one/datastores")


@pytest.mark.parametrize(
    ("safe", "restricted", "path", "allowed"),
    [
        ("/var/tmp", "/", "/var/tmp/a", True),
        ("/var/tmp", "/", "/var/tmp", True),
        ("/var/tmp", "/", "/var/tmpfile", False),
        ("/var/tmp", "/", "/etc/passwd", False),
        ("", "/", "/var/tmp/a", False),
        ("", "/etc", "/srv/a", True),
        ("", "/etc", "/etc/a", False),
        ("", "", "/etc/a", True),
        ("/etc/images", "/etc", "/etc/images/a", True),
        ("/srv", "/srv/secret", "/srv/secret/a", False),
        ("/srv", "/srv/secret", "/srv/a", True),
        ("/srv", "/srv", "/srv/a", True),
        ("/var/tmp /srv/images", "/", "/srv/images/a", True),
    ],
)
def test_a_safe_directory_is_an_exception_to_a_restricted_one(
    safe: str, restricted: str, path: str, allowed: bool
) -> None:
    assert Allowed.parse(safe, restricted)(Path(path)) is allowed


def test_a_safe_directory_around_a_protected_one_does_not_open_it() -> None:
    allowed = Allowed.parse("/", "", protected=(Path("/srv/cloud"),))
    assert allowed(Path("/srv/a"))
    assert not allowed(Path("/srv/cloud/one_auth"))


def test_a_directory_that_is_a_link_means_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Allowed.parse(str(tmp_path / "link"), "/").open(tmp_path / "real" / "a") as stream:
        assert stream.read() == b"x"


def test_a_relative_directory_is_refused() -> None:
    with pytest.raises(DriverError, match="images in SAFE_DIRS or RESTRICTED_DIRS must be an absolute path"):
        directories("/srv images")


def test_what_is_opened_is_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory on the way is replaced by a link between the look and the opening."""
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "disk").write_text("x")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "disk").write_text("secret")
    allowed = Allowed.parse(str(tmp_path / "safe"), "/")
    real_open = os.open

    def swapped(path: Path, flags: int) -> int:
        (tmp_path / "safe").rename(tmp_path / "old")
        (tmp_path / "safe").symlink_to(tmp_path / "secret")
        return real_open(path, flags)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(DriverError, match="restricted directory"), allowed.open(tmp_path / "safe" / "disk"):
        pytest.fail("the swapped file was opened")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    allowed = Allowed.parse(str(tmp_path), "/")
    before = len(os.listdir("/proc/self/fd"))
    with allowed.open(tmp_path / "a"):
        assert len(os.listdir("/proc/self/fd")) == before + 1
    with pytest.raises(ValueError, match="stop"), allowed.open(tmp_path / "a"):
        raise ValueError("stop")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "path",
    [
        "0/7",
        "0/7/disk.0",
        "100/12345/disk.12",
        "0/7/disk.0.snap",
        "0/7/checkpoint",
        "0/7/kernel",
        "0/7/initrd",
    ],
)
def test_the_files_of_a_vm_have_these_shapes(path: str) -> None:
    assert vm_parts(LOCATION, LOCATION / path) == tuple(path.split("/"))


@given(
    st.lists(
        st.sampled_from(["..", "0", "7", "disk.0", "etc", ".", "-1", "disk.0/..", "x" * 300]), max_size=6
    )
)
def test_a_path_with_a_vms_shape_stays_below_the_location(names: list[str]) -> None:
    path = LOCATION.joinpath(*names)
    try:
        parts = vm_parts(LOCATION, path)
    except DriverError:
        return
    assert Path(os.path.normpath(path)) == LOCATION.joinpath(*parts)
    assert len(parts) in (2, 3)


def test_a_vms_directory_must_not_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "0" / "7").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DriverError, match="7 is a symbolic link"):
        vm_path(tmp_path, tmp_path / "0" / "7" / "disk.0")
    assert vm_path(tmp_path, tmp_path / "0" / "7") == tmp_path / "0" / "7"


def test_a_datastores_directory_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    (tmp_path / "0").symlink_to(tmp_path / "mount")
    assert vm_path(tmp_path, tmp_path / "0" / "7" / "disk.0") == tmp_path / "0" / "7" / "disk.0"


@pytest.mark.parametrize("source", ["/ds/1/abc", "/ds//1/abc", "/ds/1/./abc"])
def test_an_image_is_directly_in_its_datastore(source: str) -> None:
    assert image_path(Path("/ds/1"), source) == Path("/ds/1/abc")


@pytest.mark.parametrize(
    "source", ["", "/ds/1", "/ds/1/", "/ds/1/a/b", "/ds/1/../2/a", "/ds/2/a", "abc", "/ds/1/a/.."]
)
def test_a_source_elsewhere_is_not_an_image_of_the_datastore(source: str) -> None:
    assert image_path(Path("/ds/1"), source) is None
