"""A first cloud: `python -m merope.daemon.demo up` ends with a virtual machine that serves a page.

`up` makes what is missing and uses what is there; `down` takes away what `up` made, and says what.
Apart from libvirtd, the bridge and the daemons, everything is done through the API.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from merope.client import Client, ClientError
from merope.daemon import start as daemons
from merope.daemon.beside import DEFAULTS
from merope.daemon.control import NotRunning
from merope.daemon.demo_network import DemoBridge
from merope.daemon.demo_objects import DemoError, Machine, Objects
from merope.daemon.layout import Layout, UnsafeError, default_home, write_private
from merope.daemon.libvirtd import OwnLibvirtd, ensure
from merope.daemon.start import StartError, Wanted
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.domain_xml import vm_id_of
from merope.drivers.hypervisor.libvirt import LibvirtHypervisor
from merope.drivers.hypervisor.libvirt_probe import remembered
from merope.drivers.hypervisor.libvirt_session import Session
from merope.drivers.hypervisor.libvirt_settings import ACCELERATION, KvmSettings, emulator_path

BUILDER = Path(__file__).resolve().parents[3] / "guest" / "build.py"
OFFERED = Path("/var/tmp")  # noqa: S108 - what SAFE_DIRS of a fresh image datastore names
_PAGE_LIMIT = 120.0


class Progress:
    """Says each step with the seconds since the beginning."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()

    @property
    def seconds(self) -> float:
        return self._clock() - self._began

    def __call__(self, text: str) -> None:
        print(f"[{self.seconds:6.1f} s] {text}", flush=True)


@dataclass(frozen=True)
class Base:
    """What machines of the demonstration are made on: ids of image and network, gateway, libvirt's URI."""

    image: int
    network: int
    gateway: IPv4Address
    uri: str


def up(layout: Layout, wanted: Wanted, say: Progress) -> None:
    """Raises DemoError, DriverError, StartError, UnsafeError or ClientError: each is a sentence."""
    made = base(layout, wanted, say)
    with client_of(layout) as client:
        objects = Objects(client, say)
        machine = objects.machine(objects.template(made.image, made.network))
        machine = _served(objects, machine)
    say("its page is served")
    _tell(layout, machine, made.uri, say)


def base(layout: Layout, wanted: Wanted, say: Progress) -> Base:
    """A cloud with a host, a network, and an image; raises as `up` does."""
    with layout.claimed():
        layout.create(sandbox=False)
    image, uri = _prepare(layout, say)
    bridge = DemoBridge(layout.home)
    chosen = _reach_guests(layout, bridge, wanted, say)
    say(daemons.start(layout, wanted))
    with client_of(layout) as client:
        objects = Objects(client, say)
        objects.host()
        network_id, network = objects.network(bridge.name, lambda: chosen or bridge.choose())
        if bridge.up(network[1], network):
            say(f"bridge {bridge.name} with {network[1]}")
        with _offered(image) as offer:
            image_id = objects.image(offer)
    return Base(image_id, network_id, network[1], uri)


_GATE = "onegate-server.conf"
_CORE = "oned.conf"


def _reach_guests(layout: Layout, bridge: DemoBridge, wanted: Wanted, say: Progress) -> IPv4Network | None:
    """The network's range, on whose gateway OneGate listens, and which is up before it does.

    A new home gets a configuration that says so; None where the home has another one.
    """
    gate, core = layout.home / _GATE, layout.home / _CORE
    if not gate.exists() and not core.exists() and not layout.database.exists():
        network = bridge.choose()
        port = wanted.onegate_port or DEFAULTS["onegate"]
        write_private(core, f'ONEGATE_ENDPOINT = "http://{network[1]}:{port}"\n')
        write_private(gate, f"# The demonstration's bridge, which guests reach.\n:host: {network[1]}\n")
    found = re.search(r"^:host: ([0-9.]+)$", gate.read_text(), re.MULTILINE) if gate.exists() else None
    if found is None:
        return None
    network = IPv4Network(f"{found[1]}/24", strict=False)
    if bridge.up(network[1], network):
        say(f"bridge {bridge.name} with {network[1]}")
    return network


def _prepare(layout: Layout, say: Progress) -> tuple[Path, str]:
    """The guest's image and a libvirtd, both at once: each may take seconds at the first time."""
    with ThreadPoolExecutor() as pool:
        building = pool.submit(_build_guest, say)
        libvirt = pool.submit(_start_libvirt, layout.home, say)
        image = building.result()
        kernel = image.with_name("vmlinuz")
        acceleration = remembered(
            layout.home / ACCELERATION, emulator_path(), kernel if kernel.exists() else None
        )
        used = "KVM is used" if acceleration.usable else "emulation is used, not KVM"
        say(f"{used}: {acceleration.reason}")
        return image, libvirt.result()


def _build_guest(say: Progress) -> Path:
    if not BUILDER.exists():
        raise DemoError(
            f"the guest image is made by {BUILDER}, which is part of a checkout of the repository"
        )
    output = BUILDER.parent / "built" / "merope-guest.qcow2"
    argv = [sys.executable, str(BUILDER), "--output", str(output)]
    with subprocess.Popen(  # noqa: S603 - a vector of our own words
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as build:
        last = ""
        for line in build.stdout or ():
            last = line.strip()
            say(last)
    if build.returncode != 0:
        raise DemoError(f"the guest image could not be built: {last}")
    return output


def _start_libvirt(home: Path, say: Progress) -> str:
    uri = ensure(home, say)
    Session(uri).run(lambda connection: connection.getCapabilities())
    return uri


@contextmanager
def client_of(layout: Layout) -> Iterator[Client]:
    options = daemons.last_options(layout)
    if options is None:
        raise DemoError(f"the cloud in {layout.home} does not say where it listens: start it again")
    with Client(options.endpoint, layout.login()) as client:
        yield client


@contextmanager
def _offered(image: Path) -> Iterator[Callable[[], Path]]:
    """Lends the image to a datastore: a copy where one may register from, for as long as it takes."""
    lent: list[Path] = []

    def offer() -> Path:
        directory = Path(tempfile.mkdtemp(prefix="merope-", dir=OFFERED))
        lent.append(directory)
        return Path(shutil.copy(image, directory))

    try:
        yield offer
    finally:
        for directory in lent:
            shutil.rmtree(directory)


def _served(objects: Objects, machine: Machine) -> Machine:
    """Until the page is served. A machine that was taken for running may turn out to be off: it is woken."""
    deadline = time.monotonic() + _PAGE_LIMIT
    while time.monotonic() < deadline:
        machine = objects.wait_until_running(machine)
        if _answers(f"http://{machine.address}/"):
            return machine
        time.sleep(0.1)
        machine = objects.look(machine.id)
    raise DemoError(
        f"VM {machine.id} is in {machine.phase}, but http://{machine.address}/ does not answer "
        f"after {_PAGE_LIMIT:.0f} s: look at its console"
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 - an http URL of ours
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _tell(layout: Layout, machine: Machine, uri: str, say: Progress) -> None:
    tools = Path(sys.executable).parent
    print(
        f"""
The cloud is up: a virtual machine serves its page after {say.seconds:.1f} s.

    page        http://{machine.address}/
    look        {tools}/onevm list          {tools}/onevm show {machine.id}
    console     virsh -c '{uri}' console one-{machine.id}     (leave with Ctrl-])
    home        {layout.home}               (log: {layout.log("core")})
    end         make stop
""",
        flush=True,
    )


def down(layout: Layout, say: Progress) -> None:
    """Raises DriverError, StartError or ClientError."""
    if not layout.auth_file.exists():
        say(f"there is no cloud in {layout.home}")
        return
    removed = [*_end_machines(layout, say)]
    if daemons.stop(layout):
        removed.append("the daemons")
    removed += _end_libvirt(layout.home)
    if DemoBridge(layout.home).down():
        removed.append(f"the bridge {DemoBridge(layout.home).name}")
    say(f"removed {', '.join(removed)}" if removed else "nothing was running")
    say(f"what is kept: {layout.home} (images, networks and templates of the cloud)")


def _end_machines(layout: Layout, say: Progress) -> list[str]:
    """Through the API while it answers; what is left is ended with libvirt."""
    options = daemons.last_options(layout)
    if options is None:
        return []
    try:
        with Client(options.endpoint, layout.login(), timeout=30.0) as client:
            ids = Objects(client, say).terminate_all()
    except (ClientError, DemoError, NotRunning) as error:
        say(f"the machines are not ended through the API: {error}")
        return []
    return [f"VM {vm_id}" for vm_id in ids]


def _end_libvirt(home: Path) -> list[str]:
    own = OwnLibvirtd(home)
    if own.process() is None:
        return []
    driver = LibvirtHypervisor(KvmSettings(uri=own.uri))
    left = [domain.deploy_id for domain in driver.domains() if vm_id_of(domain.name) is not None]
    for deploy_id in left:
        driver.cancel(deploy_id)
    driver.close()
    own.stop()
    return [*(f"the domain {deploy_id}" for deploy_id in left), "libvirtd"]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo", description="A first cloud with one virtual machine.")
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("--home", type=Path, help="directory of the cloud (default: ./var)")
    parser.add_argument("--port", type=int, help="port of the API (default: 2633)")
    arguments = parser.parse_args(words)
    layout = Layout.at(arguments.home or default_home())
    say = Progress()
    try:
        if arguments.what == "up":
            up(layout, Wanted(port=arguments.port), say)
        else:
            down(layout, say)
    except (DemoError, DriverError, StartError, UnsafeError, ClientError) as error:
        print(f"{arguments.what}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{arguments.what}: interrupted; the same command again goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
