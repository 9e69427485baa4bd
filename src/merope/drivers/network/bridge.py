"""Linux bridges, one for each network: the driver `bridge`.

A bridge that the driver made goes when the last VM that needs it has gone. One that was there before is
the administrator's, and stays.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import Link, Run, checked_name, links, run_ip
from merope.model.template import Vector
from merope.model.vm import VM

MADE_BY_US = "merope"
"""The alias of the bridges that are ours to remove."""

VN_MAD = "bridge"
_LEAST_MTU, _MOST_MTU = 68, 65535


class BridgeNetwork:
    """The NetworkDriver of one host.

    `state` is a directory of this host that a reboot may empty. A file in it says that a VM needs a bridge:
    between `pre` and the start of the domain nothing else would, and another VM's `clean` took it away.
    """

    def __init__(self, state: Path, *, keep_empty_bridge: bool = False, run: Run = run_ip) -> None:
        self._state = state
        self._keep_empty = keep_empty_bridge
        self._run = run

    def pre(self, vm: VM, nic_id: int | None = None) -> None:
        for nic in _our_nics(vm, nic_id):
            name = _bridge_of(vm, nic)
            phydev = nic.get("PHYDEV", "")
            mtu = _mtu_of(vm, nic)
            if phydev:
                checked_name(phydev, f"VM {vm.id}: PHYDEV of NIC {nic.get('NIC_ID', '')}")
            with self._locked():
                self._need(name).mkdir(parents=True, exist_ok=True)
                (self._need(name) / str(vm.id)).touch()
                self._make(name)
                self._enslave(name, phydev)
                self._set_mtu(name, phydev, mtu)

    def post(self, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:
        """Nothing: the hypervisor plugs the NICs, and a bridge has no rules of its own."""

    def update(self, vm: VM, deploy_id: str, security_group: int) -> None:
        """Nothing: a bridge filters nothing; security groups are for the drivers that do."""

    def clean(self, vm: VM, nic_id: int | None = None) -> None:
        leaving = _our_nics(vm, nic_id)
        staying = [] if nic_id is None else [nic for nic in _our_nics(vm) if nic not in leaving]
        needed = {_bridge_of(vm, nic) for nic in staying}
        for nic in leaving:
            name = _bridge_of(vm, nic)
            if name in needed:
                continue
            with self._locked():
                (self._need(name) / str(vm.id)).unlink(missing_ok=True)
                if not self._keep_empty and not self._is_needed(name):
                    self._remove(name, nic.get("PHYDEV", ""))

    def _make(self, name: str) -> None:
        there = links(self._run).get(name)
        if there is not None and there.kind != "bridge":
            raise DriverError(
                f"the link {name} is there and is no bridge, but {there.kind or 'an interface'}"
            )
        if there is None:
            self._run(["link", "add", "name", name, "type", "bridge"])
            self._run(["link", "set", "dev", name, "alias", MADE_BY_US])
        if there is None or not there.up:
            self._run(["link", "set", "dev", name, "up"])

    def _enslave(self, name: str, phydev: str) -> None:
        if not phydev:
            return
        port = links(self._run).get(phydev)
        if port is None:
            raise DriverError(f"there is no interface {phydev} on this host for the bridge {name}")
        if port.master and port.master != name:
            raise DriverError(f"{phydev} is a port of {port.master}, it cannot be one of {name} as well")
        if not port.master:
            self._run(["link", "set", "dev", phydev, "master", name])
        if not port.up:
            self._run(["link", "set", "dev", phydev, "up"])

    def _set_mtu(self, name: str, phydev: str, mtu: int) -> None:
        if not mtu:
            return
        there = links(self._run)
        for device in filter(None, (phydev, name)):
            if there[device].mtu != mtu:
                self._run(["link", "set", "dev", device, "mtu", str(mtu)])

    def _remove(self, name: str, phydev: str) -> None:
        there = links(self._run)
        bridge = there.get(name)
        if bridge is None or bridge.alias != MADE_BY_US:
            return
        if any(port.name != phydev for port in _ports(there, name)):
            return
        self._run(["link", "delete", "dev", name, "type", "bridge"])

    def _need(self, name: str) -> Path:
        return self._state / "bridges" / name

    def _is_needed(self, name: str) -> bool:
        need = self._need(name)
        if need.is_dir() and any(need.iterdir()):
            return True
        if need.is_dir():
            need.rmdir()
        return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time: looking and changing are two steps."""
        self._state.mkdir(parents=True, exist_ok=True)
        with (self._state / "bridges.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _our_nics(vm: VM, nic_id: int | None = None) -> list[Vector]:
    """The NICs of this driver, or the one of that NIC_ID when it is of this driver."""
    ours = [nic for nic in vm.template.vectors("NIC") if nic.get("VN_MAD", "").lower() == VN_MAD]
    return [nic for nic in ours if nic_id is None or nic.get("NIC_ID") == str(nic_id)]


def _bridge_of(vm: VM, nic: Vector) -> str:
    return checked_name(nic.get("BRIDGE", ""), f"VM {vm.id}: BRIDGE of NIC {nic.get('NIC_ID', '')}")


def _mtu_of(vm: VM, nic: Vector) -> int:
    """0 when the network leaves it open."""
    text = nic.get("MTU", "")
    if not text:
        return 0
    if not text.isdecimal() or not _LEAST_MTU <= int(text) <= _MOST_MTU:
        raise DriverError(f"VM {vm.id}: MTU of NIC {nic.get('NIC_ID', '')} is '{text}', expected 68 to 65535")
    return int(text)


def _ports(there: dict[str, Link], name: str) -> list[Link]:
    return [link for link in there.values() if link.master == name]
