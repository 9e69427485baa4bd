"""The objects of the demonstration, made and followed through the API as any client would."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from xml.etree.ElementTree import Element

from merope.client import Client, OneError
from merope.model.errors import Code
from merope.model.states import HostState, ImageState, LcmState, VmState
from merope.model.template import Template, Vector

NAME = "demo"
HOST_NAME = "localhost"
IMAGE_NAME = "merope-guest"
IMAGE_DATASTORE = 1
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>$NAME</title>
<h1>It works: this is $NAME</h1>
<p>A virtual machine of Merope, at $NIC[IP].
Its address, its name and this page came from its CONTEXT.</p></html>"""
SERIAL = "<devices><serial type='pty'/><console type='pty'/></devices>"
_POLL = 0.05
_LIMIT = 120.0
_ASLEEP = {VmState.POWEROFF, VmState.SUSPENDED, VmState.STOPPED, VmState.UNDEPLOYED}


class DemoError(Exception):
    """Why the demonstration cannot go on; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The demonstration's VM as the API shows it."""

    id: int
    state: VmState
    lcm_state: LcmState
    address: str
    error: str
    waits_for: str

    @classmethod
    def of(cls, document: Element) -> "Machine":
        user = document.find("USER_TEMPLATE")
        return cls(
            id=int(document.findtext("ID", "-1")),
            state=VmState(int(document.findtext("STATE", "0"))),
            lcm_state=LcmState(int(document.findtext("LCM_STATE", "0"))),
            address=document.findtext("TEMPLATE/NIC/IP", ""),
            error=user.findtext("ERROR", "") if user is not None else "",
            waits_for=user.findtext("SCHED_MESSAGE", "") if user is not None else "",
        )

    @property
    def phase(self) -> str:
        return self.lcm_state.name if self.state == VmState.ACTIVE else self.state.name

    @property
    def runs(self) -> bool:
        return self.state == VmState.ACTIVE and self.lcm_state == LcmState.RUNNING


@dataclass(slots=True)
class Objects:
    """Finds or makes each object. Raises DemoError, and ClientError where the API refuses."""

    client: Client
    say: Callable[[str], None]
    _told: str = ""

    def host(self) -> int:
        found = self._named("host", HOST_NAME)
        oid = (
            found
            if found is not None
            else self.client.number("one.host.allocate", HOST_NAME, "kvm", "kvm", -1)
        )

        def monitored() -> bool:
            document = self.client.info("host", oid)
            state = HostState(int(document.findtext("STATE", "0")))
            if state == HostState.ERROR:
                raise DemoError(f"host {oid} cannot be measured: {document.findtext('TEMPLATE/ERROR', '')}")
            return state == HostState.MONITORED

        self._until(f"host {oid} is monitored", monitored)
        self.say(f"host {oid} '{HOST_NAME}' {'is there' if found is not None else 'added and measured'}")
        return oid

    def network(self, bridge: str, choose: Callable[[], IPv4Network]) -> tuple[int, IPv4Network]:
        """The network and its range; a new one takes the range that `choose` gives."""
        found = self._named("vnet", NAME)
        if found is not None:
            template = self.client.info("vnet", found).find("TEMPLATE")
            if template is None or not template.findtext("NETWORK_ADDRESS"):
                raise DemoError(
                    f"network {found} '{NAME}' has no NETWORK_ADDRESS: it is not the demonstration's"
                )
            mask = template.findtext("NETWORK_MASK", "255.255.255.0")
            return found, IPv4Network(f"{template.findtext('NETWORK_ADDRESS')}/{mask}")
        network = choose()
        description = Template(
            [
                ("NAME", NAME),
                ("VN_MAD", "bridge"),
                ("BRIDGE", bridge),
                ("NETWORK_ADDRESS", str(network.network_address)),
                ("NETWORK_MASK", str(network.netmask)),
                ("GATEWAY", str(network[1])),
                ("AR", Vector({"TYPE": "IP4", "IP": str(network[10]), "SIZE": "200"})),
            ]
        )
        oid = self.client.number("one.vn.allocate", description.to_text(), -1)
        self.say(f"network {oid} '{NAME}' with {network}, which no route of this machine covers")
        return oid, network

    def image(self, offer: Callable[[], Path]) -> int:
        """The guest's image; `offer` puts the file where the datastore may read it."""
        found = self._named("image", IMAGE_NAME)
        if found is not None:
            self._wait_for_image(found)
            return found
        path = offer()
        description = Template(
            [
                ("NAME", IMAGE_NAME),
                ("TYPE", "OS"),
                ("PATH", str(path)),
                ("DRIVER", "qcow2"),
                ("DEV_PREFIX", "vd"),
                ("DESCRIPTION", "A small Linux that serves a page, made by guest/build.py"),
            ]
        )
        oid = self.client.number("one.image.allocate", description.to_text(), IMAGE_DATASTORE)
        self._wait_for_image(oid)
        self.say(f"image {oid} '{IMAGE_NAME}' registered")
        return oid

    def template(self, image: int, network: int) -> int:
        found = self._named("template", NAME)
        if found is not None:
            return found
        description = Template(
            [
                ("NAME", NAME),
                ("CPU", "0.5"),
                ("VCPU", "1"),
                ("MEMORY", "128"),
                ("DISK", Vector({"IMAGE_ID": str(image)})),
                ("NIC", Vector({"NETWORK_ID": str(network), "MODEL": "virtio"})),
                ("GRAPHICS", Vector({"TYPE": "VNC", "LISTEN": "127.0.0.1"})),
                ("RAW", Vector({"TYPE": "kvm", "DATA": SERIAL})),
                ("CONTEXT", Vector({"NETWORK": "YES", "SET_HOSTNAME": "$NAME", "PAGE": PAGE})),
            ]
        )
        oid = self.client.number("one.template.allocate", description.to_text())
        self.say(f"template {oid} '{NAME}'")
        return oid

    def machine(self, template: int) -> Machine:
        """The VM, in whatever state it is."""
        found = self._named("vm", NAME)
        if found is None:
            found = self.client.number("one.template.instantiate", template, NAME, False, "", False)
            self.say(f"VM {found} '{NAME}' instantiated")
        return self.look(found)

    def look(self, vm_id: int) -> Machine:
        return Machine.of(self.client.info("vm", vm_id))

    def wait_until_running(self, machine: Machine) -> Machine:
        """Follows the VM until it runs; wakes it once when it sleeps."""
        if machine.runs and machine.phase == self._told:
            return machine
        awakened = False
        phase = self._told
        deadline = time.monotonic() + _LIMIT
        while not machine.runs:
            if machine.phase != phase:
                phase = machine.phase
                self.say(f"VM {machine.id} is in {phase}")
            if machine.state in _ASLEEP and not awakened:
                self.client.call("one.vm.action", "resume", machine.id)
                awakened = True
            if "FAILURE" in phase or machine.state == VmState.DONE or time.monotonic() > deadline:
                why = machine.error or machine.waits_for or "see onevm show and the log"
                raise DemoError(f"VM {machine.id} is in {phase} and does not run: {why}")
            time.sleep(_POLL)
            machine = self.look(machine.id)
        self._told = machine.phase
        self.say(f"VM {machine.id} is in {machine.phase}")
        return machine

    def terminate_all(self) -> list[int]:
        """Ends every VM of the cloud and waits until each is done; their ids."""
        ids = [int(element.findtext("ID", "-1")) for element in self.client.pool("vm")]
        for vm_id in ids:
            try:
                self.client.call("one.vm.action", "terminate-hard", vm_id)
            except OneError as error:
                if error.code != Code.ACTION:
                    raise
                self.client.call("one.vm.recover", vm_id, _RECOVER_DELETE)

        def done() -> bool:
            return not self.client.pool("vm")

        self._until("every VM is done", done, limit=60.0)
        return ids

    def _wait_for_image(self, oid: int) -> None:
        def ready() -> bool:
            document = self.client.info("image", oid)
            state = ImageState(int(document.findtext("STATE", "0")))
            if state == ImageState.ERROR:
                raise DemoError(
                    f"image {oid} could not be registered: {document.findtext('TEMPLATE/ERROR', '')}"
                )
            return state in (ImageState.READY, ImageState.USED)

        self._until(f"image {oid} is ready", ready)

    def _named(self, kind: str, name: str) -> int | None:
        for element in self.client.pool(kind):
            if element.findtext("NAME") == name:
                return int(element.findtext("ID", "-1"))
        return None

    def _until(self, what: str, condition: Callable[[], bool], limit: float = _LIMIT) -> None:
        deadline = time.monotonic() + limit
        while not condition():
            if time.monotonic() > deadline:
                raise DemoError(
                    f"waited {limit:.0f} s in vain until {what}: the log in the home may tell why"
                )
            time.sleep(_POLL)


_RECOVER_DELETE = 3
