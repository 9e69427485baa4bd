"""Drivers that are executables of third parties, put together for this machine."""

import time
from pathlib import Path

from merope.drivers.datastore.base import DatastoreDriver
from merope.drivers.datastore.executable import ExecutableDatastore
from merope.drivers.executable import Executables
from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.hypervisor.executable import ExecutableHypervisor, Site
from merope.drivers.hypervisor.host_figures import HostFigures
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.executable import ExecutableNetwork
from merope.drivers.transfer.base import Transfer
from merope.drivers.transfer.executable import ExecutableTransfer
from merope.drivers.transfer.local import files_of_context
from merope.model.vm import VM


def hypervisor(directory: Path, home: Path, location: Path, host: str, vm: VM | None) -> Hypervisor:
    site = Site(home / "remotes" / "im", home / "run" / "vmm" / directory.name, location)
    return ExecutableHypervisor(
        Executables(directory, "hypervisor"), site, HostFigures(location, time), host, vm
    )


def transfer(directory: Path, location: Path, system: str) -> Transfer:
    return ExecutableTransfer(directory, location, files_of_context(location), system)


def datastore(directory: Path) -> DatastoreDriver:
    return ExecutableDatastore(directory)


def network(directory: Path) -> NetworkDriver:
    return ExecutableNetwork(directory)
