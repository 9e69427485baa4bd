"""How the Firecracker driver is set: `remotes/etc/vmm/firecracker/firecrackerrc`."""

import os
from dataclasses import dataclass
from pathlib import Path

from merope.drivers.hypervisor.rc_file import number, read_rc, truth

FIRECRACKERRC = Path("remotes/etc/vmm/firecracker/firecrackerrc")
JAILS = "/srv/jailer"


@dataclass(frozen=True, slots=True)
class FirecrackerSettings:
    """`state` is what is remembered of microVMs here; `uid` and `gid` are whom they run as; times in seconds,
    sizes in pixels. `cgroups` is the version of the host's control groups, 0 for none."""

    state: Path
    datastores: Path
    firecracker: Path = Path("/usr/bin/firecracker")
    jailer: Path = Path("/usr/bin/jailer")
    jails: Path = Path(JAILS)
    uid: int = 9869
    gid: int = 9869
    shutdown_timeout: float = 10.0
    force_destroy: bool = False
    cpu_shares: bool = True
    cgroups: int = 2
    cgroup_root: Path = Path("/sys/fs/cgroup")
    mmds: bool = False
    vnc_width: int = 800
    vnc_height: int = 600


def settings_of(home: Path, location: Path | None = None) -> FirecrackerSettings:
    """Raises DriverError for a firecrackerrc that cannot be read."""
    rc = read_rc(home / FIRECRACKERRC)
    root = Path(rc.get("cgroup_location", "/sys/fs/cgroup"))
    usual = Path(rc.get("firecracker_location", "/usr/bin/firecracker"))
    return FirecrackerSettings(
        state=home / "run" / "firecracker",
        datastores=location or home / "datastores",
        firecracker=usual,
        jailer=Path(rc.get("jailer_location", usual.with_name("jailer"))),
        jails=Path(rc.get("chroot_base", JAILS)),
        uid=int(number(rc, "uid", 9869)),
        gid=int(number(rc, "gid", 9869)),
        shutdown_timeout=number(rc, "shutdown_timeout", 10),
        force_destroy=truth(rc, "force_destroy", False),
        cpu_shares=truth(rc, "cgroup_cpu_shares", True),
        cgroups=2 if os.path.exists(root / "cgroup.controllers") else 1,
        cgroup_root=root,
        mmds=truth(rc, "mmds", False),
        vnc_width=int(number(rc, "vnc.width", 800)),
        vnc_height=int(number(rc, "vnc.height", 600)),
    )


def jails_of(home: Path) -> str:
    """Where microVMs are, for who only looks at them."""
    return read_rc(home / FIRECRACKERRC).get("chroot_base", JAILS)
