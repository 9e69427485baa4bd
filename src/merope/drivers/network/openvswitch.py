"""Bridges of Open vSwitch: the drivers `ovswitch` and `ovswitch_vxlan`.

A bridge that the driver made (`external-ids:merope`) goes with the last NIC, and so do the ports to the
outside that it added to one that was there. Each change of the switch's database is one transaction. VLANs of
NICs are columns of their ports, FILTER_* are flows. Source: spec drivers.yaml `vnm`, templates.yaml `vnet`.
"""

from collections.abc import Sequence

from merope.drivers.errors import DriverError
from merope.drivers.network import ovs_port
from merope.drivers.network.ip_link import links, options
from merope.drivers.network.made_links import MadeLinks, Uplink
from merope.drivers.network.nics import bridge_of, device_of, mtu_of, nics_of, phydev_of, what
from merope.drivers.network.site import Site
from merope.drivers.network.vlan import tunnelled
from merope.model.template import Vector
from merope.model.vm import VM

_OURS = "external-ids:merope=yes"
_VLAN_COLUMNS = ("tag", "trunks", "vlan_mode", "cvlans")
_DPDK = "openvswitch_dpdk"


class OpenvSwitchNetwork:
    """The NetworkDriver of one host for the NICs whose VN_MAD is `ovswitch`."""

    name = "ovswitch"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._made = MadeLinks(site.state, site.ip)

    @classmethod
    def of_site(cls, site: Site) -> "OpenvSwitchNetwork":
        return cls(site)

    def pre(self, vm: VM, nic_id: int | None = None) -> None:
        for nic in nics_of(vm, self.name, nic_id):
            bridge, uplink = bridge_of(vm, nic), self._uplink(vm, nic)
            with self._made.locked():
                self._made.need(bridge, vm.id)
                self._make(vm, nic, bridge)
                if uplink is not None:
                    self._made.make_uplink(bridge, uplink, mtu_of(vm, nic))
                    self._join(bridge, uplink.name)
                if _is_dpdk(nic):
                    self._add_socket(vm, nic, bridge)

    def post(self, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:  # noqa: ARG002 - not its name
        for nic in nics_of(vm, self.name, nic_id):
            self._set_vlans(vm, nic)
            self._set_flows(vm, nic)

    def update(self, vm: VM, deploy_id: str, security_group: int) -> None:
        """Nothing: security groups are no part of this driver, in 5.12 neither."""

    def clean(self, vm: VM, nic_id: int | None = None) -> None:
        leaving = nics_of(vm, self.name, nic_id)
        staying = [] if nic_id is None else [nic for nic in nics_of(vm, self.name) if nic not in leaving]
        needed = {bridge_of(vm, nic) for nic in staying}
        for nic in leaving:
            bridge = bridge_of(vm, nic)
            with self._made.locked():
                if self._is_there(bridge):
                    self._remove_nic(vm, nic, bridge)
                if bridge not in needed:
                    self._made.need_no_more(bridge, vm.id)
                    if not self._made.is_needed(bridge) and not self._site.settings.keep_empty_bridge:
                        self._remove(bridge, self._uplink(vm, nic))

    def _uplink(self, vm: VM, nic: Vector) -> Uplink | None:
        phydev = phydev_of(vm, nic)
        return Uplink(phydev) if phydev else None

    def _vsctl(self, *words: str) -> list[str]:
        return self._site.tool(["ovs-vsctl", "--timeout=30", *words]).split()

    def _is_there(self, bridge: str) -> bool:
        return bridge in self._vsctl("list-br")

    def _make(self, vm: VM, nic: Vector, bridge: str) -> None:
        if self._is_there(bridge):
            return
        if bridge in links(self._site.ip):
            raise DriverError(f"the link {bridge} is there and is no bridge of Open vSwitch")
        own = options(nic.get("OVS_BRIDGE_CONF", ""), what(vm, nic, "OVS_BRIDGE_CONF"))
        wanted = self._site.settings.options("ovs_bridge_conf") | own
        if _is_dpdk(nic):
            wanted["datapath_type"] = "netdev"
        columns = [f"{_column(name)}={value}" for name, value in wanted.items()]
        self._vsctl("add-br", bridge, "--", "set", "Bridge", bridge, _OURS, *columns)

    def _join(self, bridge: str, port: str) -> None:
        link = links(self._site.ip).get(port)
        if link is None:
            raise DriverError(f"there is no interface {port} on this host for the bridge {bridge}")
        if port not in self._vsctl("list-ports", bridge):
            owner = self._owner(port) or (link.master if link.master != "ovs-system" else "")
            if owner:
                raise DriverError(f"{port} is a port of {owner}, it cannot be one of {bridge} as well")
            self._vsctl("add-port", bridge, port, "--", "set", "Port", port, _OURS)
        if not link.up:
            self._site.ip(["link", "set", "dev", port, "up"])

    def _add_socket(self, vm: VM, nic: Vector, bridge: str) -> None:
        """The port of a NIC whose guest is reached by shared memory (DPDK): QEMU makes the socket."""
        if vm.history is None:
            raise DriverError(f"VM {vm.id} is on no host, its NICs have no sockets")
        port = device_of(vm, nic)
        socket = self._site.datastores / str(vm.history.ds_id) / str(vm.id) / port
        columns = ["type=dpdkvhostuserclient", f"options:vhost-server-path={socket}"]
        self._vsctl(
            "--may-exist", "add-port", bridge, port, "--", "set", "Interface", port, *columns,
            "--", "set", "Port", port, *ovs_port.vlan_columns(vm, nic), "external-ids:merope=nic",
        )  # fmt: skip

    def _set_vlans(self, vm: VM, nic: Vector) -> None:
        port, columns = device_of(vm, nic), ovs_port.vlan_columns(vm, nic)
        command = ["clear", "Port", port, *_VLAN_COLUMNS]
        if columns:
            command += ["--", "set", "Port", port, *columns]
        self._vsctl(*command)

    def _set_flows(self, vm: VM, nic: Vector) -> None:
        """All of a NIC's flows in one bundle, which takes effect whole."""
        always = self._site.settings.values.get("arp_cache_poisoning", "true").lower() == "true"
        cookie = ovs_port.cookie(vm, nic)
        lines = [f"delete cookie={cookie}/-1"]
        lines += [f"add cookie={cookie},{flow}" for flow in ovs_port.flows(vm, nic, arp_always=always)]
        self._ofctl(bridge_of(vm, nic), lines)

    def _ofctl(self, bridge: str, lines: Sequence[str]) -> None:
        self._site.tool(["ovs-ofctl", "--bundle", "add-flows", bridge, "-"], "\n".join([*lines, ""]))

    def _remove_nic(self, vm: VM, nic: Vector, bridge: str) -> None:
        self._ofctl(bridge, [f"delete cookie={ovs_port.cookie(vm, nic)}/-1"])
        if _is_dpdk(nic):
            self._vsctl("--if-exists", "del-port", bridge, device_of(vm, nic))

    def _remove(self, bridge: str, uplink: Uplink | None) -> None:
        if self._is_there(bridge):
            ours = self._ours("Port")
            ports = self._vsctl("list-ports", bridge)
            if bridge not in self._ours("Bridge"):
                for port in set(ports) & set(ours):
                    self._vsctl("--if-exists", "del-port", bridge, port)
            elif all(port in ours for port in ports):
                self._vsctl("--if-exists", "del-br", bridge)
            else:
                return
        if uplink is not None and not self._owner(uplink.name):
            self._made.remove_uplink(bridge, uplink)

    def _owner(self, port: str) -> str:
        return next((each for each in self._vsctl("list-br") if port in self._vsctl("list-ports", each)), "")

    def _ours(self, table: str) -> list[str]:
        found = self._vsctl("--bare", "--columns=name", "find", table, _OURS)
        return [name.strip('"') for name in found]


class OpenvSwitchVxlanNetwork(OpenvSwitchNetwork):
    """Bridges that are joined by a VXLAN whose id is OUTER_VLAN_ID; VLAN_ID is inside of it."""

    name = "ovswitch_vxlan"

    def _uplink(self, vm: VM, nic: Vector) -> Uplink | None:
        return tunnelled(self._site, vm, nic, "OUTER_VLAN_ID")


def _is_dpdk(nic: Vector) -> bool:
    return nic.get("BRIDGE_TYPE", "").lower() == _DPDK


def _column(name: str) -> str:
    """Options of OVS_BRIDGE_CONF are columns of the bridge's row, and `stp` and `rstp` two of them."""
    return {"stp": "stp_enable", "rstp": "rstp_enable"}.get(name, name)
