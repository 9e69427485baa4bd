"""Whom the agent asks what VMs there are, by the host's IM_MAD."""

from __future__ import annotations

from merope_agent import domains
from merope_agent.config import Config
from merope_agent.domains import Domain

LIBVIRT = ("kvm", "qemu")


def knows(config: Config) -> bool:
    """Whether it is one of ours: of another one only executables of an administrator tell."""
    return config.hypervisor in (*LIBVIRT, "lxd", "firecracker")


def read(config: Config, figures: bool) -> list[Domain]:
    """Every VM; only names and states are sure where no `figures` are wanted. Raises CommandError."""
    if config.hypervisor == "lxd":
        # Only who needs it pays for HTTP: it is megabytes on every host.
        from merope_agent import lxd

        return lxd.read(config.lxd_socket)
    if config.hypervisor == "firecracker":
        from merope_agent import firecracker

        return firecracker.read(config.jails)
    return domains.read(config.libvirt_uri, figures) if config.hypervisor in LIBVIRT else []
