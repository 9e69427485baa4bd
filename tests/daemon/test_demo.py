"""The demonstration's bridge and objects, on a kernel and an API that are dictionaries."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import cast
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from tests.drivers.network.kernel import Kernel

from merope.client import Client, OneError
from merope.daemon import demo
from merope.daemon.demo_network import DemoBridge
from merope.daemon.demo_objects import DemoError, Machine, Objects
from merope.drivers.errors import DriverError
from merope.model.template import Template

NETWORK = IPv4Network("172.30.231.0/24")
GATEWAY = IPv4Address("172.30.231.1")
HOME = Path("/srv/cloud/var")


def test_the_bridge_has_the_gateways_address_and_is_up() -> None:
    kernel = Kernel()
    bridge = DemoBridge(HOME, kernel)
    assert bridge.up(GATEWAY, NETWORK)
    assert kernel.links[bridge.name].up
    assert kernel.addresses[bridge.name] == "172.30.231.1/24"


def test_a_bridge_that_is_there_is_used_again() -> None:
    kernel = Kernel()
    bridge = DemoBridge(HOME, kernel)
    bridge.up(GATEWAY, NETWORK)
    kernel.routes = [{"dst": str(NETWORK), "dev": bridge.name}]
    assert not bridge.up(GATEWAY, NETWORK)


def test_two_clouds_have_two_bridges() -> None:
    assert DemoBridge(HOME).name != DemoBridge(Path("/srv/other")).name
    assert len(DemoBridge(HOME).name) <= 15


def test_a_range_that_got_another_route_meanwhile_is_not_hidden() -> None:
    kernel = Kernel(routes=[{"dst": "172.30.0.0/16", "dev": "tun0"}])
    with pytest.raises(DriverError, match=r"172\.30\.231\.0/24 is now reached by another route"):
        DemoBridge(HOME, kernel).up(GATEWAY, NETWORK)
    assert kernel.links == {}


def test_only_our_own_bridge_is_removed() -> None:
    kernel = Kernel()
    bridge = DemoBridge(HOME, kernel)
    kernel.add(bridge.name, "bridge", alias="of somebody")
    assert not bridge.down()
    with pytest.raises(DriverError, match="is not ours"):
        bridge.up(GATEWAY, NETWORK)
    del kernel.links[bridge.name]
    bridge.up(GATEWAY, NETWORK)
    assert bridge.down()
    assert not bridge.down()
    assert kernel.links == {}


KINDS = {"host": "HOST", "vnet": "VNET", "image": "IMAGE", "template": "VMTEMPLATE", "vm": "VM"}
FRESH = {
    "host": "<STATE>2</STATE>",
    "image": "<STATE>1</STATE>",
    "vm": "<STATE>1</STATE><LCM_STATE>0</LCM_STATE>",
}


class FakeCloud:
    """An API that keeps what it is told; `answers` are the documents that a VM shows one after the other."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[int, str]] = {kind: {} for kind in KINDS}
        self.calls: list[str] = []
        self.answers: list[str] = []
        self.refused: set[str] = set()

    def number(self, method: str, *arguments: object) -> int:
        self.calls.append(method)
        word = method.split(".")[1]
        kind = {"vn": "vnet", "template": "vm" if method.endswith("instantiate") else "template"}.get(
            word, word
        )
        name = str(arguments[1]) if kind == "vm" else str(arguments[0])
        body = ""
        if kind in ("vnet", "image", "template"):
            template = Template.parse(str(arguments[0]))
            name, body = template.get("NAME"), template.to_xml()
        oid = len(self.objects[kind])
        head = f"<ID>{oid}</ID><NAME>{name}</NAME>"
        self.objects[kind][oid] = f"<{KINDS[kind]}>{head}{FRESH.get(kind, '')}{body}</{KINDS[kind]}>"
        return oid

    def call(self, method: str, *arguments: object) -> int:
        self.calls.append(f"{method} {' '.join(map(str, arguments))}")
        if method in self.refused:
            raise OneError(2048, "wrong state", 0)
        if "terminate" in arguments or "terminate-hard" in arguments or method == "one.vm.recover":
            self.objects["vm"].clear()
        return 0

    def info(self, kind: str, oid: int) -> Element:
        text = self.answers.pop(0) if kind == "vm" and self.answers else self.objects[kind][oid]
        return ElementTree.fromstring(text)

    def pool(self, kind: str) -> list[Element]:
        return [ElementTree.fromstring(text) for text in self.objects[kind].values()]


def objects(cloud: FakeCloud) -> Objects:
    return Objects(cast(Client, cloud), lambda _: None)


def never() -> Path:
    raise AssertionError("nothing should be offered")


def vm(state: int, lcm: int = 0, user: str = "") -> str:
    return (
        f"<VM><ID>0</ID><NAME>demo</NAME><STATE>{state}</STATE><LCM_STATE>{lcm}</LCM_STATE>"
        f"<TEMPLATE><NIC><IP>172.30.231.10</IP></NIC></TEMPLATE><USER_TEMPLATE>{user}</USER_TEMPLATE></VM>"
    )


def make_all(cloud: FakeCloud, offer: Callable[[], Path]) -> None:
    ours = objects(cloud)
    ours.host()
    network, _ = ours.network("mrp-1", lambda: NETWORK)
    ours.machine(ours.template(ours.image(offer), network))


def test_every_object_is_made_once() -> None:
    cloud = FakeCloud()
    make_all(cloud, lambda: Path("/var/tmp/x/guest.qcow2"))
    made = list(cloud.calls)
    assert made == [
        "one.host.allocate",
        "one.vn.allocate",
        "one.image.allocate",
        "one.template.allocate",
        "one.template.instantiate",
    ]
    make_all(cloud, never)
    assert cloud.calls == made


def test_the_network_is_read_back_as_it_was_made() -> None:
    cloud = FakeCloud()
    made = objects(cloud).network("mrp-1", lambda: NETWORK)
    assert objects(cloud).network("mrp-1", lambda: IPv4Network("10.0.0.0/24")) == made


def test_the_page_holds_only_variables_that_the_core_fills() -> None:
    cloud = FakeCloud()
    make_all(cloud, lambda: Path("/x"))
    context = ElementTree.fromstring(cloud.objects["template"][0]).find("TEMPLATE/CONTEXT")
    assert context is not None
    assert "$NIC[IP]" in context.findtext("PAGE", "")
    assert context.findtext("SET_HOSTNAME") == "$NAME"


def test_a_machine_that_sleeps_is_woken_once() -> None:
    cloud = FakeCloud()
    cloud.answers = [vm(8), vm(3, 2), vm(3, 3)]
    machine = objects(cloud).wait_until_running(Machine.of(ElementTree.fromstring(vm(8))))
    assert machine.runs
    assert cloud.calls == ["one.vm.action resume 0"]


def test_a_machine_that_failed_is_told_with_its_error() -> None:
    failed = vm(3, 36, "<ERROR>Sat Nov 21: no disk</ERROR>")
    with pytest.raises(DemoError, match="VM 0 is in BOOT_FAILURE and does not run: Sat Nov 21: no disk"):
        objects(FakeCloud()).wait_until_running(Machine.of(ElementTree.fromstring(failed)))


def test_a_machine_that_cannot_be_terminated_is_deleted() -> None:
    cloud = FakeCloud()
    cloud.objects["vm"][0] = vm(3, 3)
    cloud.refused = {"one.vm.action"}
    assert objects(cloud).terminate_all() == [0]
    assert cloud.calls == ["one.vm.action terminate-hard 0", "one.vm.recover 0 3"]


def test_the_image_is_lent_and_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "OFFERED", tmp_path)
    image = tmp_path / "guest.qcow2"
    image.write_text("bytes")
    with demo._offered(image) as offer:
        lent = offer()
        assert lent.read_text() == "bytes"
        assert lent != image
    assert list(tmp_path.iterdir()) == [image]


def test_down_without_a_cloud_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["down", "--home", str(tmp_path / "var")]) == 0
    assert "there is no cloud" in capsys.readouterr().out
