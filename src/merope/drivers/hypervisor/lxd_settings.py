"""How the LXD driver is set: `remotes/etc/vmm/lxd/lxdrc` (docs/drivers-lxd.md)."""

from dataclasses import dataclass
from pathlib import Path

from merope.drivers.hypervisor.rc_file import number, read_rc, truth

LXDRC = Path("remotes/etc/vmm/lxd/lxdrc")
_SOCKETS = (Path("/var/lib/lxd/unix.socket"), Path("/var/snap/lxd/common/lxd/unix.socket"))


@dataclass(frozen=True, slots=True)
class LxdSettings:
    """`state` is where disks are mounted and terminals have files; times in seconds, sizes in pixels."""

    socket: Path
    state: Path
    datastores: Path
    pool: str = "default"
    shutdown_timeout: float = 120.0
    force_destroy: bool = False
    vnc_command: str = "/bin/login"
    vnc_width: int = 800
    vnc_height: int = 600

    @property
    def root(self) -> Path:
        """LXD's directory."""
        return self.socket.parent


def socket_of(home: Path) -> str:
    """Where LXD listens, as the cloud has it set; the usual place of Debian's package."""
    return read_rc(home / LXDRC).get("socket", str(_SOCKETS[0]))


def sockets_of(home: Path) -> list[str]:
    """Where LXD may listen on a host, the first that is there."""
    rc = read_rc(home / LXDRC)
    return [rc["socket"]] if "socket" in rc else [str(path) for path in _SOCKETS]


def settings_of(home: Path, location: Path | None = None) -> LxdSettings:
    """Raises DriverError for a lxdrc that cannot be read."""
    rc = read_rc(home / LXDRC)
    usual = next((path for path in _SOCKETS if path.exists()), _SOCKETS[0])
    return LxdSettings(
        socket=Path(rc.get("socket", usual)),
        state=home / "run" / "lxd",
        datastores=location or home / "datastores",
        pool=rc.get("storage_pool", "default"),
        shutdown_timeout=number(rc, "shutdown_timeout", 120),
        force_destroy=truth(rc, "force_destroy", False),
        vnc_command=rc.get("vnc.command", "/bin/login"),
        vnc_width=int(number(rc, "vnc.width", 800)),
        vnc_height=int(number(rc, "vnc.height", 600)),
    )
