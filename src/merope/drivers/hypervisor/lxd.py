"""Containers by LXD, through its REST API.

What is not running is not there: a container is made for each start and deleted when it has stopped, so a
host keeps nothing of a VM that is not its own any more. Its root file system is the VM's image, which is
mounted on the host.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain, HostReport
from merope.drivers.hypervisor.domain_xml import domain_name
from merope.drivers.hypervisor.host_figures import Clock, HostFigures
from merope.drivers.hypervisor.lxd_api import LxdError
from merope.drivers.hypervisor.lxd_containers import FROZEN, RUNNING, is_ours
from merope.drivers.hypervisor.lxd_monitor import ContainerReader
from merope.drivers.hypervisor.lxd_settings import LxdSettings, settings_of
from merope.drivers.hypervisor.lxd_snapshots import LxdSnapshots
from merope.model.vm import VM

_NO_MEMORY = (
    "the memory of a container cannot be kept: power it off instead of suspending or stopping it "
    "(LXD would need CRIU for that)"
)
_ASK_AGAIN = 10.0


class LxdHypervisor(LxdSnapshots):
    """The Hypervisor of one host. Calls block."""

    def __init__(self, settings: LxdSettings, clock: Clock = time) -> None:
        super().__init__(settings, clock)
        self._figures = HostFigures(settings.datastores, clock)
        self._reader = ContainerReader(clock)

    @classmethod
    def of_cloud(cls, home: Path, location: Path | None = None) -> "LxdHypervisor":
        """The driver as the cloud under `home` has it set; `location` is its DATASTORE_LOCATION."""
        return cls(settings_of(home, location))

    def deploy(self, vm: VM, system_dir: Path) -> str:
        imported = self._lxd.instance(vm.deploy_id) if vm.deploy_id else None
        if imported is not None and not is_ours(imported):
            if imported["status"] != RUNNING:
                self._start(vm.deploy_id)
            return vm.deploy_id
        name = domain_name(vm.id)
        found = self._lxd.instance(name)
        if found is not None:
            self._require_own(found, vm)
        if found is None or found["status"] != RUNNING or not is_ours(found):
            self._forget_snapshots(vm, system_dir)
            self._begin(vm, name, system_dir)
        return name

    def shutdown(self, deploy_id: str) -> None:
        """Asks again every ten seconds: an init that was still starting has not heard the first."""
        found = self._settled(deploy_id)
        if found is not None and found["status"] in (RUNNING, FROZEN):
            self._running(deploy_id)
            self._stop(deploy_id)
        self._put_away(deploy_id)

    def _stop(self, deploy_id: str) -> None:
        """Returns when it has stopped, or may be forced to. Raises DriverError."""
        limit = self.settings.shutdown_timeout
        deadline = self._clock.monotonic() + limit
        while True:
            left = deadline - self._clock.monotonic()
            try:
                return self._lxd.act(deploy_id, "stop", max(min(left, _ASK_AGAIN), 1.0))
            except LxdError as error:
                now = self._lxd.instance(deploy_id)
                if now is None or now["status"] != RUNNING or (left <= 0 and self.settings.force_destroy):
                    return None
                if left <= 0:
                    raise DriverError(f"{deploy_id} did not stop within {limit:.0f} s: {error}") from error

    def cancel(self, deploy_id: str) -> None:
        self._put_away(deploy_id)

    def reboot(self, deploy_id: str) -> None:
        self._running(deploy_id)
        self._lxd.act(deploy_id, "restart", self.settings.shutdown_timeout)

    def reset(self, deploy_id: str) -> None:
        self._running(deploy_id)
        self._lxd.act(deploy_id, "restart", self.settings.shutdown_timeout, force=True)

    def save(self, deploy_id: str, checkpoint: Path) -> None:
        raise DriverError(_NO_MEMORY)

    def restore(self, vm: VM, deploy_id: str, checkpoint: Path, system_dir: Path) -> str:
        raise DriverError(_NO_MEMORY)

    def migrate(self, deploy_id: str, destination: str, copied: Sequence[str] = ()) -> None:
        raise DriverError("a container cannot move while it runs: migrate it without --live")

    def domains(self) -> list[Domain]:
        """Those of ours that have stopped by themselves are put away: their disks are to be free."""
        found = self._lxd.instances()
        for each in found:
            if is_ours(each) and has_ended(each) and not self._under_way(each["name"]):
                self._put_away(each["name"])
        shown = [each for each in found if not is_ours(each) or each["status"] in (RUNNING, FROZEN)]
        return self._reader.read(shown)

    def report(self) -> HostReport:
        environment = self._lxd.server()["environment"]
        attributes = {"HYPERVISOR": "lxd", "LXD_VERSION": str(environment.get("server_version", ""))}
        return self._figures.report(attributes)


def has_ended(found: dict[str, Any]) -> bool:
    """It ran, and stopped; one that is being made has never run."""
    stopped = found["status"] not in (RUNNING, FROZEN)
    return stopped and found["config"].get("volatile.last_state.power") == "STOPPED"
