"""The drivers whose NICs are ports of Linux bridges: what each joins a bridge to, and what it filters.

| driver | joined to | filtered by |
| --- | --- | --- |
| bridge | PHYDEV, if there is one | nothing |
| fw | the same | security groups, FILTER_* |
| ebtables | the same | MAC addresses of other networks |
| 802.1Q | a VLAN of PHYDEV | security groups, FILTER_* |
| vxlan | a VXLAN over PHYDEV | security groups, FILTER_* |

Source: spec drivers.yaml `vnm`, templates.yaml `vnet`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from merope.drivers.network import vlan
from merope.drivers.network.ebtables import MacGuard
from merope.drivers.network.ip_link import options
from merope.drivers.network.linux_bridge import LinuxBridges
from merope.drivers.network.made_links import Uplink
from merope.drivers.network.nics import bridge_of, mtu_of, nics_of, phydev_of, what
from merope.drivers.network.packet_filter import PacketFilter
from merope.drivers.network.site import Site
from merope.model.template import Vector
from merope.model.vm import VM


class Guard(Protocol):
    """Filters what passes between a bridge and NICs. Every operation is idempotent."""

    def put(self, vm: VM, nics: Sequence[Vector]) -> None:
        """Rules for these NICs, as the VM's document has them, in place of those that there are."""
        ...

    def remove(self, vm: VM, nics: Sequence[Vector]) -> None:
        """No rules for these NICs any more."""
        ...


UplinkOf = Callable[[Site, VM, Vector], Uplink | None]


class BridgedNetwork:
    """The NetworkDriver of one host for the NICs whose VN_MAD is `name`."""

    def __init__(self, name: str, site: Site, uplink_of: UplinkOf, guard: Guard | None = None) -> None:
        self._name = name
        self._site = site
        self._uplink_of = uplink_of
        self._guard = guard
        self._bridges = LinuxBridges(site.state, site.ip, keep_empty=site.settings.keep_empty_bridge)

    def pre(self, vm: VM, nic_id: int | None = None) -> None:
        """Filters are there before the interfaces are: they hold from the first packet."""
        nics = nics_of(vm, self._name, nic_id)
        for nic in nics:
            name, uplink, mtu = bridge_of(vm, nic), self._uplink_of(self._site, vm, nic), mtu_of(vm, nic)
            self._bridges.join(name, vm.id, uplink, mtu, self._bridge_options(vm, nic))
        self._filter(vm, nics)

    def post(self, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:  # noqa: ARG002 - not its name
        self._filter(vm, nics_of(vm, self._name, nic_id))

    def update(self, vm: VM, deploy_id: str, security_group: int) -> None:  # noqa: ARG002 - all are put
        self._filter(vm, nics_of(vm, self._name))

    def clean(self, vm: VM, nic_id: int | None = None) -> None:
        leaving = nics_of(vm, self._name, nic_id)
        staying = [] if nic_id is None else [nic for nic in nics_of(vm, self._name) if nic not in leaving]
        needed = {bridge_of(vm, nic) for nic in staying}
        for nic in leaving:
            name = bridge_of(vm, nic)
            if name not in needed:
                self._bridges.leave(name, vm.id, self._uplink_of(self._site, vm, nic))
        if self._guard is not None and leaving:
            self._guard.remove(vm, leaving)

    def changes(self, vm: VM) -> list[str]:
        """The rules that `update` would change, as PacketFilter tells them."""
        nics = nics_of(vm, self._name)
        return self._guard.changes(vm, nics) if isinstance(self._guard, PacketFilter) and nics else []

    def _filter(self, vm: VM, nics: Sequence[Vector]) -> None:
        if self._guard is not None and nics:
            self._guard.put(vm, nics)

    def _bridge_options(self, vm: VM, nic: Vector) -> dict[str, str]:
        settings = self._site.settings
        own = options(nic.get("BRIDGE_CONF", ""), what(vm, nic, "BRIDGE_CONF"))
        return settings.options("bridge_conf") | settings.options("ip_bridge_conf") | own


def _physical(site: Site, vm: VM, nic: Vector) -> Uplink | None:  # noqa: ARG001 - an UplinkOf
    phydev = phydev_of(vm, nic)
    return Uplink(phydev) if phydev else None


class BridgeNetwork(BridgedNetwork):
    @classmethod
    def of_site(cls, site: Site) -> "BridgeNetwork":
        return cls("bridge", site, _physical)


class FirewallNetwork(BridgedNetwork):
    @classmethod
    def of_site(cls, site: Site) -> "FirewallNetwork":
        return cls("fw", site, _physical, PacketFilter(site))


class EbtablesNetwork(BridgedNetwork):
    @classmethod
    def of_site(cls, site: Site) -> "EbtablesNetwork":
        return cls("ebtables", site, _physical, MacGuard(site))


class VlanNetwork(BridgedNetwork):
    @classmethod
    def of_site(cls, site: Site) -> "VlanNetwork":
        return cls("802.1Q", site, vlan.tagged, PacketFilter(site))


class VxlanNetwork(BridgedNetwork):
    @classmethod
    def of_site(cls, site: Site) -> "VxlanNetwork":
        return cls("vxlan", site, vlan.tunnelled, PacketFilter(site))
