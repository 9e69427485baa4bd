"""What must be on a host for each hypervisor, and what is asked of it (tables of `one host-check`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from merope.drivers.hypervisor import firecracker_settings, lxd_settings
from merope.engine.remote import Remote

KVM, LXD, FIRECRACKER = "kvm", "lxd", "firecracker"
HYPERVISORS = (KVM, LXD, FIRECRACKER)


@dataclass(frozen=True, slots=True)
class Needed:
    """One of the `names`, programs unless `module`, which Debian has in `package`; of one that is not
    `required` it is only said what it is for."""

    names: tuple[str, ...]
    package: str
    why: str
    module: bool = False
    required: bool = True


_DISKS = (
    Needed(("qemu-img",), "qemu-utils", "makes, copies and grows disks"),
    Needed(("genisoimage", "mkisofs", "xorriso"), "genisoimage", "writes the CONTEXT disk"),
    Needed(("mkfs.ext4",), "e2fsprogs", "file systems on volatile disks"),
)
_EVERYWHERE = (
    Needed(("ip",), "iproute2", "bridges and addresses"),
    Needed(("iptables",), "iptables", "security groups"),
    Needed(("nft",), "nftables", "filters of spoofed addresses"),
    Needed(("tar",), "tar", "takes what is brought"),
)
_TERMINAL = (
    Needed(("Xvnc",), "tigervnc-standalone-server", "GRAPHICS with TYPE = VNC", required=False),
    Needed(("vncpasswd",), "tigervnc-tools", "GRAPHICS with PASSWD", required=False),
    Needed(("xterm",), "xterm", "GRAPHICS with TYPE = VNC", required=False),
)
NEEDED: dict[str, tuple[Needed, ...]] = {
    KVM: (
        Needed(("libvirt",), "python3-libvirt", "operations on guests", module=True),
        Needed(("libvirtd", "virtqemud"), "libvirt-daemon-system", "starts and watches QEMU"),
        Needed(("qemu-system-x86_64", "qemu-system-aarch64", "qemu-kvm"), "qemu-system-x86", "runs guests"),
        *_DISKS,
        *_EVERYWHERE,
        Needed(("ssh",), "openssh-client", "live migration to other hosts"),
    ),
    LXD: (
        Needed(("lxd",), "lxd", "starts and watches containers"),
        Needed(("lxc",), "lxd-client", "shows containers, and their terminals"),
        *_DISKS,
        Needed(("isoinfo",), "genisoimage", "reads the CONTEXT disk for containers"),
        Needed(("qemu-storage-daemon",), "qemu-system-common", "qcow2 images", required=False),
        Needed(("fusermount3",), "fuse3", "qcow2 images", required=False),
        *_EVERYWHERE,
        *_TERMINAL,
    ),
    FIRECRACKER: (
        Needed(("screen",), "screen", "the console of microVMs"),
        *_DISKS,
        *_EVERYWHERE,
        *_TERMINAL,
    ),
}


def questions(remote: Remote, kind: str) -> dict[str, Any]:
    """What host_facts is asked for a hypervisor, as the cloud has it set. Raises DriverError."""
    needed = NEEDED[kind]
    asked: dict[str, Any] = {
        "programs": [name for each in needed if not each.module for name in each.names],
        "modules": [name for each in needed if each.module for name in each.names],
        "libvirt": kind == KVM,
    }
    if kind == LXD:
        asked["lxd"] = {
            "sockets": lxd_settings.sockets_of(remote.home),
            "pool": lxd_settings.settings_of(remote.home).pool,
        }
    if kind == FIRECRACKER:
        asked["programs"] += binaries(remote)
    return asked


def binaries(remote: Remote) -> Sequence[str]:
    """Where firecracker and its jailer are to be on hosts."""
    settings = firecracker_settings.settings_of(remote.home)
    return [str(settings.firecracker), str(settings.jailer)]
