"""The host itself: what it is (SYSTEM_HOST) and how busy it is (MONITOR_HOST), from /proc and libvirt."""

from __future__ import annotations

import base64
import os
import re
import socket
from contextlib import suppress
from typing import Iterator

from merope_agent import commands, domains, hypervisors, pci, topology
from merope_agent.config import Config
from merope_agent.probes.hardware import Hardware, disk_usage
from merope_agent.template import singles, vector

_MACHINE = re.compile(r"<machine\b[^>]*>([^<]+)</machine>")
_GUEST = re.compile(r"<arch name='([^']+)'>(.*?)</arch>", re.DOTALL)


class HostProbe:
    """What a host has and uses, in the words of messages."""

    def __init__(self, config: Config, hardware: Hardware | None = None) -> None:
        self._config = config
        self._hardware = hardware or Hardware()
        self._models: dict[str, str] = {}
        self.latest: dict[str, str] = {}
        """The figures of the last look."""

    def system(self) -> str:
        """Capacity, kind and datastores."""
        model, speed = self._hardware.processor()
        text = singles(
            {
                "HYPERVISOR": self._hypervisor(),
                "ARCH": os.uname().machine,
                "MODELNAME": model,
                "CPUSPEED": speed,
                "TOTALCPU": self._hardware.cpus() * 100,
                "TOTALMEMORY": self._hardware.memory()[0],
                "HOSTNAME": socket.gethostname(),
                "VERSION": self._config.version,
            }
        )
        return text + self._libvirt() + "".join(self._stores())

    def figures(self) -> str:
        """Usage: CPU in percent of one CPU, memory in KB, traffic in bytes since the host booted."""
        total, available = self._hardware.memory()
        cpus = self._hardware.cpus() * 100
        used = round(self._hardware.busy() * cpus)
        received, sent = self._hardware.traffic()
        figures = {
            "FREEMEMORY": available,
            "USEDMEMORY": total - available,
            "FREECPU": cpus - used,
            "USEDCPU": used,
            "NETRX": received,
            "NETTX": sent,
        }
        self.latest = {name: str(value) for name, value in figures.items()}
        return singles(self.latest)

    def _hypervisor(self) -> str:
        emulated = self._config.emulated
        if emulated is None:
            emulated = not os.path.exists("/dev/kvm")
        return "qemu" if self._config.hypervisor == "kvm" and emulated else self._config.hypervisor

    def _stores(self) -> Iterator[str]:
        total, used, free = disk_usage(self._config.datastores)
        yield singles(
            {"DS_LOCATION_TOTAL_MB": total, "DS_LOCATION_USED_MB": used, "DS_LOCATION_FREE_MB": free}
        )
        try:
            names = sorted(name for name in os.listdir(self._config.datastores) if name.isdigit())
        except OSError:
            return
        for name in names:
            total, used, free = disk_usage(os.path.join(self._config.datastores, name))
            yield vector("DS", {"ID": int(name), "TOTAL_MB": total, "USED_MB": used, "FREE_MB": free})

    def _libvirt(self) -> str:
        """Machine types and CPU models that guests may have: they change with an update of QEMU only."""
        if not self._models and self._config.hypervisor in hypervisors.LIBVIRT:
            virsh = ("virsh", "-q", "-c", self._config.libvirt_uri)
            arch = os.uname().machine
            with suppress(commands.CommandError):
                capabilities = commands.run((*virsh, "capabilities"), domains.SECONDS)
                machines = (
                    _MACHINE.findall(inner) for name, inner in _GUEST.findall(capabilities) if name == arch
                )
                names = dict.fromkeys(machine for found in machines for machine in found)
                models = commands.run((*virsh, "cpu-models", arch), domains.SECONDS).split()
                self._models = {"KVM_MACHINES": " ".join(names), "KVM_CPU_MODELS": " ".join(models)}
        return singles({name: value for name, value in self._models.items() if value})


def parts(config: Config) -> str:
    """Processors, memory and huge pages by NUMA nodes, and the PCI devices that guests may have."""
    return topology.text(topology.topology() + pci.devices(shown=config.pci))


def wild(config: Config) -> str:
    """The domains that are no VM of the cloud, each with a template to take it over by."""
    lines = []
    for domain in hypervisors.read(config, figures=True):
        if domain.vm >= 0:
            continue
        cpus = domain.vcpus
        template = singles(
            {
                "NAME": domain.name,
                "CPU": cpus,
                "VCPU": cpus,
                "MEMORY": max(domain.max_memory // 1024, 1),
                "HYPERVISOR": config.hypervisor,
                "DEPLOY_ID": domain.name,
            }
        )
        if domain.state == domains.POWEROFF:
            template += singles({"IMPORT_STATE": domain.state})
        encoded = base64.b64encode(template.encode()).decode()
        lines.append(
            vector("VM", {"VM_NAME": domain.name, "DEPLOY_ID": domain.name, "IMPORT_TEMPLATE": encoded})
        )
    return "".join(lines)
