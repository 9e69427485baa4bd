"""A host with guests on its networks, whose NICs a driver has plugged: for tests of what passes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.drivers.network.switch import Switch
from tests.drivers.network.wires import Guest, Machine

from merope.drivers import registry
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.site import Settings, Site
from merope.model.addresses import mac_text, parse_ip4
from merope.model.template import Template
from merope.model.vm import VM

_LOOKS = 1000


def machine(vm_id: int, *nics: str, more: str = "") -> VM:
    """A VM whose NICs have these attributes; MAC and addresses follow from the VM's and the NIC's numbers."""
    text = "\n".join(
        f'NIC = [ NIC_ID = {number}, IP = "{_ip(vm_id, number)}", MAC = "{_mac(vm_id, number)}", '
        f'TARGET = "one-{vm_id}-{number}", {nic} ]'
        for number, nic in enumerate(nics)
    )
    return VM(vm_id, 0, 0, "oneadmin", "oneadmin", "web", template=Template.parse(f"{text}\n{more}"))


def _ip(vm_id: int, number: int) -> str:
    return f"10.0.{number}.{vm_id}"


def _mac(vm_id: int, number: int) -> str:
    return mac_text(0x0200_0000_0000 | parse_ip4(_ip(vm_id, number)))


class Cloudlet:
    """Hosts that drivers act on, and guests. Everything is removed by `close`."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.hosts: list[Machine] = []
        self._guests: list[Guest] = []
        self._switches: list[Switch] = []

    def host(self) -> Machine:
        self.hosts.append(Machine("h"))
        return self.hosts[-1]

    def wired(self, *, switches: bool = False) -> tuple[Machine, Machine]:
        """Two hosts, whose eth1 are the ends of one wire."""
        one, two = self.host(), self.host()
        one.ip(["link", "add", "name", "eth1", "type", "veth", "peer", "name", "eth1", "netns", two.name])
        for number, host in enumerate((one, two), 1):
            host.ip(["address", "add", f"192.0.2.{number}/24", "dev", "eth1"])
            host.ip(["link", "set", "dev", "eth1", "up"])
            if switches:
                self.switch(host)
        return one, two

    def switch(self, host: Machine) -> None:
        """Open vSwitch on a host."""
        self._switches.append(Switch(host, self._state / f"ovs{len(self._switches)}"))

    def site(self, host: Machine, settings: Settings | None = None) -> Site:
        return Site(self._state / host.name, settings or Settings(), self._state, host.ip, host.tool)

    def driver(self, name: str, host: Machine, settings: Settings | None = None) -> NetworkDriver:
        driver: NetworkDriver = registry.network(name).of_site(self.site(host, settings))  # type: ignore[attr-defined]
        return driver

    def run(self, driver: NetworkDriver, host: Machine, vm: VM) -> Guest:
        """What a deployment does: the guest's first NIC."""
        driver.pre(vm)
        guest = self.plug(host, vm)
        driver.post(vm, f"one-{vm.id}")
        return guest

    def plug(self, host: Machine, vm: VM, number: int = 0) -> Guest:
        """What a hypervisor does between `pre` and `post`."""
        nic = vm.template.vectors("NIC")[number]
        guest = Guest(host, nic["TARGET"], nic["MAC"], nic["IP"])
        self._guests.append(guest)
        if nic.get("BRIDGE_TYPE") == "openvswitch":
            # As libvirt does, by the domain's <vlan>.
            tag = [f"tag={nic['VLAN_ID']}"] if nic.get("VLAN_ID") else []
            host.tool(["ovs-vsctl", "--may-exist", "add-port", nic["BRIDGE"], guest.port, *tag])
            host.ip(["link", "set", "dev", guest.port, "up"])
        else:
            join(host, guest, nic["BRIDGE"])
        return guest

    def unplug(self, host: Machine, vm: VM) -> None:
        """What a hypervisor does before `clean`."""
        for nic in vm.template.vectors("NIC"):
            if nic.get("BRIDGE_TYPE") == "openvswitch":
                host.tool(["ovs-vsctl", "--if-exists", "del-port", nic["BRIDGE"], nic["TARGET"]])
            host.ip(["link", "delete", "dev", nic["TARGET"]])

    def close(self) -> None:
        for switch in self._switches:
            switch.stop()
        for guest in self._guests:
            guest.remove()
        for host in self.hosts:
            host.remove()


def join(host: Machine, guest: Guest, bridge: str) -> None:
    """Returns when the bridge forwards what the guest sends: the kernel notices a carrier a little later."""
    host.ip(["link", "set", "dev", guest.port, "master", bridge, "up"])
    for _ in range(_LOOKS):
        (port,) = json.loads(host.ip(["-j", "-d", "link", "show", guest.port]))
        if port["linkinfo"].get("info_slave_data", {}).get("state") == "forwarding":
            return
    raise AssertionError(f"{guest.port} does not become a port of {bridge} that forwards")


@contextmanager
def cloudlet(state: Path) -> Iterator[Cloudlet]:
    made = Cloudlet(state)
    try:
        yield made
    finally:
        made.close()


def traces(host: Machine) -> dict[str, object]:
    """What drivers may have left on a host: links, rules of every kind."""
    shown = json.loads(host.ip(["-j", "link", "show"]))
    bridges = host.tool(["ovs-vsctl", "list-br"]).split() if host.environment else []
    return {
        "flows": [
            sorted(host.tool(["ovs-ofctl", "--no-stats", "dump-flows", each]).splitlines())
            for each in bridges
        ],
        "links": {link["ifname"]: link.get("master") for link in shown},
        **{program: host.tool([program, "-S"]) for program in ("iptables", "ip6tables")},
        "bridges": sorted(host.tool(["ovs-vsctl", "show"]).splitlines()) if host.environment else [],
        "nat": host.tool(["iptables", "-t", "nat", "-S"]),
        "nft": [line for line in host.tool(["nft", "list", "tables"]).splitlines() if "merope" in line],
    }
