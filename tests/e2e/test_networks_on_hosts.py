"""Networks of hosts under a whole cloud: what reaches a real guest, and what of it is on the hosts."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from tests.e2e.cloud import BedCloud, BedVm
from tests.real.machine import SHELL, eventually
from tests.testbed.host import BedHost

from merope.daemon import network_diff

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]

WEB = "RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,RANGE=80]"
OUT = "RULE=[PROTOCOL=ALL,RULE_TYPE=outbound]"
STRANGER = 250
"""The place in the bed's network of an address that no VM has."""


@pytest.fixture(scope="module")
def group(cloud: BedCloud) -> int:
    return cloud.ask("one.secgroup.allocate", f"NAME=web\n{WEB}\n{OUT}")


@pytest.fixture(scope="module")
def before(cloud: BedCloud) -> dict[str, str]:
    return {host.name: rules(cloud, host.name) for host in cloud.bed.hosts}


@pytest.fixture(scope="module")
def filtered(cloud: BedCloud, group: int) -> int:
    """A network like the bed's, of other addresses, whose NICs are filtered by the group alone."""
    network = cloud.bed.network
    oid = cloud.ask(
        "one.vn.allocate",
        f"NAME=filtered\nVN_MAD=fw\nBRIDGE=br0\nNETWORK_MASK={network.netmask}\nGATEWAY={cloud.bed.gateway}\n"
        f"FILTER_IP_SPOOFING=YES\nFILTER_MAC_SPOOFING=YES\nAR=[TYPE=IP4,IP={network[210]},SIZE=9]",
        -1,
    )
    cloud.ask("one.vn.update", oid, f"SECURITY_GROUPS={group}", 1)
    return oid


@pytest.fixture(scope="module")
def vm(cloud: BedCloud, filtered: int, before: dict[str, str]) -> Iterator[BedVm]:
    """One VM for the tests below, in their order."""
    shell = SHELL.replace("=", '="', 1) + '"'
    made = BedVm.make(cloud, "node1", f", {shell}", filtered).run()
    yield made
    made.remove()


def rules(cloud: BedCloud, host: str) -> str:
    programs = (("iptables", "-S"), ("ip6tables", "-S"), ("nft", "list", "table", "bridge", "merope"))
    return "".join(cloud.bed.host(host).run("sh", "-c", f"{' '.join(each)} 2>&1 || :") for each in programs)


def is_open(vm: BedVm, port: int = 80) -> bool:
    """Whether a new connection is answered, if only by a refusal."""
    try:
        socket.create_connection((vm.guest.address, port), timeout=5.0).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    return True


def set_rules(cloud: BedCloud, group: int, vm: BedVm, text: str) -> None:
    cloud.ask("one.secgroup.update", group, text, 0)

    def is_told() -> bool:
        document: Element = cloud.document("secgroup", group)
        assert document.find("ERROR_VMS/ID") is None
        return [each.text for each in document.findall("UPDATED_VMS/ID")] == [str(vm.id)]

    eventually("the host has the rules", is_told)


@pytest.mark.runs("network/fw", "pre", "post", "update", "clean", where="here")
def test_a_guest_answers_where_its_group_lets_it_and_when_the_rules_change(
    cloud: BedCloud, group: int, vm: BedVm
) -> None:
    assert [is_open(vm, port) for port in (80, 81)] == [True, False]
    set_rules(cloud, group, vm, f"RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,RANGE=81]\n{OUT}")
    assert [is_open(vm, port) for port in (80, 81)] == [False, True]
    set_rules(cloud, group, vm, f"{WEB}\n{OUT}")
    assert [is_open(vm, port) for port in (80, 81)] == [True, False]


def test_what_an_update_of_the_group_would_change_is_told_beforehand(
    cloud: BedCloud, group: int, vm: BedVm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(cloud.home)]
    assert network_diff.main([*home, str(vm.id)]) == 0
    assert capsys.readouterr().out == f"VM {vm.id} on node1: as it should be\n"
    (tmp_path / "rules").write_text(f"{WEB}\n{OUT}\nRULE=[PROTOCOL=ICMP,RULE_TYPE=inbound]")
    assert network_diff.main([*home, "--group", str(group), "--rules", str(tmp_path / "rules")]) == 1
    assert capsys.readouterr().out == (
        f"VM {vm.id} on node1\n  + iptables -A one-{vm.id}-0-i -p icmp -j RETURN\n"
    )


def test_a_guest_that_takes_another_address_is_not_heard(cloud: BedCloud, vm: BedVm) -> None:
    network, gateway = cloud.bed.network, cloud.bed.gateway
    other = network[STRANGER]
    vm.guest.run(f"ip address add {other}/{network.prefixlen} dev eth0")
    assert "1 packets received" in vm.guest.run(f"ping -c 1 -W 5 -I {vm.guest.address} {gateway}")
    assert "0 packets received" in vm.guest.run(f"ping -c 1 -W 1 -I {other} {gateway}")


def test_a_guest_that_moves_live_takes_its_rules_with_it(
    cloud: BedCloud, vm: BedVm, before: dict[str, str]
) -> None:
    boot = vm.guest.boot_id()
    vm.migrate("node2", live=True)
    eventually("it is on node2", lambda: vm.host == "node2")
    assert vm.run().guest.boot_id() == boot
    assert [is_open(vm, port) for port in (80, 81)] == [True, False]
    assert rules(cloud, "node1") == before["node1"]
    assert f"one-{vm.id}-0-i" in rules(cloud, "node2")


@pytest.mark.runs("network/vxlan", "pre", "post", "clean", where="here")
def test_a_nic_on_a_vxlan_is_plugged_into_a_guest_that_runs_and_leaves_nothing(
    cloud: BedCloud, vm: BedVm
) -> None:
    host = cloud.bed.host(vm.host)
    text = "NAME=tunnel\nVN_MAD=vxlan\nPHYDEV=br0\nVLAN_ID=77\nMTU=1400\nAR=[TYPE=IP4,IP=10.77.0.1,SIZE=9]"
    network = cloud.ask("one.vn.allocate", text, -1)
    seen = host.run("ip", "-o", "link", "show", "type", "vxlan"), rules(cloud, vm.host)
    cloud.ask("one.vm.attachnic", vm.id, f"NIC=[NETWORK_ID={network},MODEL=virtio]")
    assert vm.run().look().error == ""
    assert "vxlan id 77" in host.run("ip", "-d", "link", "show", "br0.77")
    assert "mtu 1400" in host.run("ip", "link", "show", "onebr.77")
    eventually("the guest has eth1", lambda: "eth1" in vm.guest.run("ip link"), 30)
    cloud.ask("one.vm.detachnic", vm.id, 1)
    vm.run()
    assert (host.run("ip", "-o", "link", "show", "type", "vxlan"), rules(cloud, vm.host)) == seen
    cloud.ask("one.vn.delete", network)


@pytest.fixture
def switch(cloud: BedCloud, vm: BedVm) -> BedHost:
    """The VM's host, with Open vSwitch in user space; it ends with the host."""
    host = cloud.bed.host(vm.host)
    if shutil.which("ovs-vswitchd") is None:
        pytest.skip("not installed: openvswitch-switch")
    place = "/run/openvswitch"
    host.run("mkdir", "-p", place)
    host.run("ovsdb-tool", "create", f"{place}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
    host.run("ovsdb-server", f"{place}/conf.db", f"--remote=punix:{place}/db.sock", "--pidfile", "--detach")
    host.run("ovs-vsctl", "--no-wait", "init")
    host.run("ovs-vswitchd", "--pidfile", "--detach")
    return host


@pytest.mark.runs("network/ovswitch", "pre", "post", "clean", where="here")
def test_a_guest_is_in_its_vlan_of_open_vswitch_with_its_own_address(
    cloud: BedCloud, vm: BedVm, switch: BedHost
) -> None:
    text = (
        'NAME=switched\nVN_MAD=ovswitch\nBRIDGE=ovsbr0\nVLAN_ID=20\nOVS_BRIDGE_CONF="datapath_type=netdev"\n'
        "FILTER_IP_SPOOFING=YES\nFILTER_MAC_SPOOFING=YES\nAR=[TYPE=IP4,IP=10.88.0.1,SIZE=9]"
    )
    network = cloud.ask("one.vn.allocate", text, -1)
    cloud.ask("one.vm.attachnic", vm.id, f"NIC=[NETWORK_ID={network},MODEL=virtio]")
    assert vm.run().look().error == ""
    nic = f"one-{vm.id}-{_last_nic(cloud, vm)}"
    assert switch.run("ovs-vsctl", "get", "Port", nic, "tag").strip() == "20"
    for name, tag in (("same", "20"), ("other", "30")):
        port = ["add-port", "ovsbr0", name, f"tag={tag}", "--", "set", "Interface", name, "type=internal"]
        switch.run("ovs-vsctl", *port)
        switch.run("ip", "link", "set", name, "up")
    switch.run("ip", "address", "add", "10.88.0.200/24", "dev", "same")
    switch.run("ip", "address", "add", "10.89.0.200/24", "dev", "other")
    eventually("the guest has eth1", lambda: "eth1" in vm.guest.run("ip link"), 30)
    vm.guest.run(
        "ip link set eth1 up; for n in 8.0.1 8.0.77 9.0.1; do ip address add 10.8$n/24 dev eth1; done"
    )
    heard = [
        "1 packets received" in vm.guest.run(f"ping -c 1 -W {wait} -I {own} {target}")
        for own, target, wait in (
            ("10.88.0.1", "10.88.0.200", 5),
            ("10.88.0.77", "10.88.0.200", 1),
            ("10.89.0.1", "10.89.0.200", 1),
        )
    ]
    assert heard == [True, False, False]
    for name in ("same", "other"):
        switch.run("ovs-vsctl", "del-port", "ovsbr0", name)
    cloud.ask("one.vm.detachnic", vm.id, _last_nic(cloud, vm))
    vm.run()
    assert switch.run("ovs-vsctl", "list-br") == ""
    cloud.ask("one.vn.delete", network)


def _last_nic(cloud: BedCloud, vm: BedVm) -> int:
    found = cloud.document("vm", vm.id).findall("TEMPLATE/NIC/NIC_ID")
    return max(int(each.text or "") for each in found)


def test_an_alias_is_one_more_address_of_its_nic(cloud: BedCloud, vm: BedVm, filtered: int) -> None:
    cloud.ask("one.vm.attachnic", vm.id, f"NIC_ALIAS=[NETWORK_ID={filtered},PARENT=NIC0]")
    vm.run()
    document = cloud.document("vm", vm.id)
    alias = document.findtext("TEMPLATE/NIC_ALIAS/IP", "")
    vm.guest.run(f"ip address add {alias}/{cloud.bed.network.prefixlen} dev eth0")
    heard = f"ping -c 1 -W 5 -I {alias} {cloud.bed.gateway}"
    assert "1 packets received" in vm.guest.run(heard)
    cloud.ask("one.vm.detachnic", vm.id, int(document.findtext("TEMPLATE/NIC_ALIAS/NIC_ID", "")))
    vm.run()
    assert "0 packets received" in vm.guest.run(heard.replace("-W 5", "-W 1"))


def test_nothing_is_left_of_a_guest_that_has_gone(
    cloud: BedCloud, filtered: int, before: dict[str, str]
) -> None:
    vm = BedVm.make(cloud, "node3", "", filtered).run()
    assert f"one-{vm.id}-0-o" in rules(cloud, "node3")
    vm.remove()
    assert rules(cloud, "node3") == before["node3"]
