"""How the KVM driver is set: the site's `kvmrc`, the defaults of domains, where things are on the host."""

import platform
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.domain_xml import HostTraits, read_defaults
from merope.drivers.hypervisor.libvirt_api import Migrate
from merope.drivers.hypervisor.libvirt_migration import flags_of
from merope.drivers.hypervisor.libvirt_probe import Acceleration, remembered
from merope.model.template import Template
from merope_agent.pci import Filter, read_filter

KVMRC = Path("remotes/etc/vmm/kvm/kvmrc")
OWN_KVMRC = Path("libvirt/kvmrc")
"""What holds for the front-end alone, and is not brought to hosts: the other one wins."""
PCI_FILTER = Path("remotes/etc/im/kvm-probes.d/pci.conf")
DEFAULTS = Path("etc/vmm_exec/vmm_exec_kvm.conf")
ACCELERATION = Path("acceleration.json")
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Z_][A-Z0-9_]*)=(.*)")


@dataclass(frozen=True, slots=True)
class KvmSettings:
    """Times in seconds. `migrate_uri` holds HOST where the destination's name goes."""

    uri: str = "qemu:///system"
    traits: HostTraits = field(default_factory=lambda: HostTraits("qemu"))
    defaults: Template | None = None
    datastores: Path = Path("/var/lib/one/datastores")
    shutdown_timeout: float = 180.0
    force_destroy: bool = False
    migrate_uri: str = "qemu+ssh://HOST/system"
    migrate_flags: Migrate = Migrate.UNSAFE
    migrate_timeout: float = 0.0
    """Seconds after which a live migration is given up; 0: never."""
    migrate_bandwidth: int = 0
    """MiB/s; 0: as fast as it goes."""
    devices: Filter = field(default_factory=Filter)
    """Which PCI devices of the host may be given to guests: none, unless a pci.conf names them."""


def settings_of(home: Path, location: Path | None = None) -> KvmSettings:
    """The settings of the cloud under `home`; its datastores are at `location`, or below it.

    Raises DriverError for a kvmrc that is not a list of assignments.
    """
    rc = {**read_kvmrc(home / OWN_KVMRC), **read_kvmrc(home / KVMRC)}
    defaults = home / DEFAULTS
    return KvmSettings(
        uri=rc.get("LIBVIRT_URI", "qemu:///system"),
        traits=host_traits(acceleration_of(home, rc.get("ACCELERATION", "auto"))),
        defaults=read_defaults(defaults) if defaults.exists() else None,
        datastores=location or home / "datastores",
        shutdown_timeout=float(rc.get("SHUTDOWN_TIMEOUT", "180")),
        force_destroy=rc.get("FORCE_DESTROY", "no").lower() == "yes",
        migrate_uri=rc.get("MIGRATE_URI", f"{rc.get('QEMU_PROTOCOL', 'qemu+ssh')}://HOST/system"),
        devices=_pci_filter(home / PCI_FILTER),
        migrate_flags=flags_of(rc.get("MIGRATE_OPTIONS", "--unsafe")),
        migrate_timeout=float(rc.get("MIGRATE_TIMEOUT", "0")),
        migrate_bandwidth=int(rc.get("MIGRATE_BANDWIDTH", "0")),
    )


def _pci_filter(path: Path) -> Filter:
    return read_filter(path.read_text(encoding="utf-8")) if path.exists() else Filter()


def read_kvmrc(path: Path) -> dict[str, str]:
    """The assignments of a kvmrc, read without a shell; no file, no assignments."""
    if not path.exists():
        return {}
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(text)
        try:
            words = shlex.split(match[2], comments=True) if match else []
        except ValueError:
            match = None
        if match is None:
            raise DriverError(f"{path}, line {number}: expected NAME=value")
        found[match[1]] = " ".join(words)
    return found


def write_kvmrc(path: Path, values: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(values.items())))


def acceleration_of(home: Path, wanted: str) -> Acceleration:
    """What the site wants (`kvm`, `qemu`), else what was found to work on this machine."""
    if wanted == "kvm":
        return Acceleration(True, "set in kvmrc")
    if wanted == "qemu":
        return Acceleration(False, "set in kvmrc")
    return remembered(home / ACCELERATION, emulator_path())


def emulator_path() -> str:
    """QEMU for this machine's own architecture; empty when there is none."""
    names = (f"qemu-system-{platform.machine()}", "qemu-kvm")
    found = next(filter(None, map(shutil.which, names)), None)
    return found or ("/usr/libexec/qemu-kvm" if Path("/usr/libexec/qemu-kvm").exists() else "")


def host_traits(acceleration: Acceleration) -> HostTraits:
    kind = "kvm" if acceleration.usable else "qemu"
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return HostTraits(kind, emulator_path(), shares_per_cpu=100, share_limits=(1, 10000))
    return HostTraits(kind, emulator_path())
