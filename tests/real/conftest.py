"""Fixtures of the tests that start real guests. They are marked `real`, and skip with the reason."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from tests.real.machine import Host, choosing_a_range, guest_image, why_not

from merope.daemon.libvirtd import OwnLibvirtd
from merope.drivers.network.host_route import free_range, routes
from merope.drivers.network.ip_link import links, run_ip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: starts real QEMU guests (root, libvirt; seconds each)")


@pytest.fixture(scope="session")
def image() -> Path:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    built, problem = guest_image()
    if built is None:
        pytest.skip(f"the guest image cannot be built: {problem}")
    return built


@pytest.fixture(scope="session")
def bridge(image: Path) -> Iterator[tuple[str, IPv4Network]]:
    """A bridge with the first address of a range that leads nowhere else."""
    name = f"mrpt{os.getpid() % 100000}"
    try:
        with choosing_a_range():
            network = free_range(routes())
            run_ip(["link", "add", "name", name, "type", "bridge"])
            run_ip(["address", "add", f"{network[1]}/{network.prefixlen}", "dev", name])
            run_ip(["link", "set", "dev", name, "up"])
        yield name, network
    finally:
        if name in links():
            run_ip(["link", "delete", "dev", name])


def make_host(image: Path, bridge: tuple[str, IPv4Network], name: str) -> Iterator[Host]:
    """A host whose home is short enough for sockets, and that leaves nothing behind."""
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    with ExitStack() as made:
        made.callback(shutil.rmtree, home)
        libvirtd = OwnLibvirtd(home, name, str(bridge[1][1]))
        made.callback(libvirtd.stop)
        libvirtd.wait(libvirtd.start())
        host = Host(libvirtd, *bridge, image)
        made.callback(host.driver.close)
        made.callback(host.clear)
        yield host


@pytest.fixture(scope="session")
def first_host(image: Path, bridge: tuple[str, IPv4Network]) -> Iterator[Host]:
    yield from make_host(image, bridge, "mrp-host1")


@pytest.fixture(scope="session")
def second_host(image: Path, bridge: tuple[str, IPv4Network]) -> Iterator[Host]:
    yield from make_host(image, bridge, "mrp-host2")


@pytest.fixture
def host(first_host: Host) -> Iterator[Host]:
    """A host without guests, before and after."""
    first_host.clear()
    yield first_host
    first_host.clear()
