"""A core of a few dozen lines: documents, VMs that come up step by step, networks; it can be told to fail.

It tells its events when `deliver` is called, and can end the world (`Killed`) before or after any call.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from merope.client import OneError
from merope.client.client import Scalar
from merope.model.states import LcmState, VmState
from merope.model.template import Template

Hear = Callable[[str, bytes], None]
_COMING_UP = {LcmState.PROLOG: LcmState.BOOT, LcmState.BOOT: LcmState.RUNNING}


class Killed(BaseException):
    """The service's process ends here."""


@dataclass
class FakeVm:
    id: int
    name: str
    owner: str
    user: Template
    state: VmState = VmState.PENDING
    lcm: LcmState = LcmState.LCM_INIT
    monitoring: dict[str, str] = field(default_factory=dict)

    def xml(self) -> str:
        monitoring = "".join(f"<{k}>{v}</{k}>" for k, v in self.monitoring.items())
        return (
            f"<VM><ID>{self.id}</ID><UID>2</UID><GID>1</GID><UNAME>{self.owner}</UNAME><GNAME>users</GNAME>"
            f"<NAME>{escape(self.name)}</NAME><STATE>{int(self.state)}</STATE>"
            f"<LCM_STATE>{int(self.lcm)}</LCM_STATE><MONITORING>{monitoring}</MONITORING>"
            f"{self.user.to_xml('USER_TEMPLATE')}</VM>"
        )


@dataclass
class FakeDocument:
    id: int
    name: str
    body: str
    type: int = 100
    owner: str = "ann"

    def xml(self) -> str:
        return (
            f"<DOCUMENT><ID>{self.id}</ID><UID>2</UID><GID>1</GID><UNAME>{self.owner}</UNAME>"
            f"<GNAME>users</GNAME><NAME>{self.name}</NAME><TYPE>{self.type}</TYPE>"
            f"<TEMPLATE><BODY><![CDATA[{self.body}]]></BODY></TEMPLATE></DOCUMENT>"
        )


class FakeCore:
    """`failing`: how often VMs of these names do not boot; `refuse`: what a method is refused with;
    `forbidden`: methods that owners have not the right to."""

    def __init__(self) -> None:
        self.vms: dict[int, FakeVm] = {}
        self.documents: dict[int, FakeDocument] = {}
        self.networks: dict[int, str] = {0: "public"}
        self.made_networks = 0
        self.events: list[tuple[str, str]] = []
        self.hear: Hear = lambda _key, _message: None
        self.refuse: dict[str, str] = {}
        self.forbidden: set[str] = set()
        self.failing: dict[str, int] = {}
        self.deaf: set[int] = set()
        self.calls: list[tuple[Any, ...]] = []
        self.kill_at = -1
        self.kill_after = False
        self.killed = False
        self.down: Exception | None = None

    def add_document(self, name: str, body: str) -> int:
        oid = len(self.documents)
        self.documents[oid] = FakeDocument(oid, name, body)
        return oid

    async def call(self, user: str, method: str, *arguments: Any) -> Scalar:
        here = len(self.calls) == self.kill_at
        if here and not self.kill_after:
            self.kill_at, self.killed = -1, True
            raise Killed
        self.calls.append((user, method, *arguments))
        if self.down is not None:
            raise self.down
        if method in self.forbidden and user:
            raise OneError(512, f"[{method}] User [2] : Not authorized to perform ADMIN VM.")
        if method in self.refuse:
            raise OneError(2048, self.refuse[method])
        answer: Scalar = getattr(self, method.replace(".", "_"))(user, *arguments)
        if here:
            self.kill_at, self.killed = -1, True
            raise Killed
        return answer

    def called(self, method: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[1] == method]

    # Methods

    def one_template_instantiate(
        self, user: str, template: int, name: str, hold: bool, extra: str, _persistent: bool
    ) -> int:
        oid = len(self.vms)
        self.vms[oid] = FakeVm(oid, name, user, Template.parse(extra))
        self._tell(self.vms[oid])
        return oid

    def one_template_info(self, _user: str, oid: int) -> str:
        context = "<CONTEXT><TOKEN>YES</TOKEN></CONTEXT>"
        return f"<VMTEMPLATE><ID>{oid}</ID><TEMPLATE>{context}</TEMPLATE></VMTEMPLATE>"

    def one_vm_action(self, _user: str, action: str, oid: int) -> int:
        vm = self._vm(oid)
        if action == "resume":
            return self._to(vm, VmState.ACTIVE, LcmState.BOOT)
        if vm.state is VmState.ACTIVE and vm.lcm in (LcmState.PROLOG, LcmState.BOOT, LcmState.SHUTDOWN):
            raise OneError(2048, f"[one.vm.action] Wrong state {vm.lcm.name}")
        if vm.state is VmState.ACTIVE and vm.lcm in (LcmState.RUNNING, LcmState.UNKNOWN):
            return self._to(vm, VmState.ACTIVE, LcmState.SHUTDOWN)
        return self._to(vm, VmState.DONE, LcmState.LCM_INIT)

    def one_vm_recover(self, _user: str, oid: int, how: int) -> int:
        state = VmState.DONE if how == 3 else VmState.PENDING
        return self._to(self._vm(oid), state, LcmState.LCM_INIT)

    def one_vm_info(self, _user: str, oid: int, _decrypt: bool) -> str:
        return self._vm(oid).xml()

    def one_vmpool_infoextended(self, _user: str, *_filters: int) -> str:
        alive = (vm.xml() for vm in self.vms.values() if vm.state is not VmState.DONE)
        return f"<VM_POOL>{''.join(alive)}</VM_POOL>"

    def one_document_info(self, _user: str, oid: int) -> str:
        return self._document(oid).xml()

    def one_document_update(self, _user: str, oid: int, text: str, _append: int) -> int:
        self._document(oid).body = Template.parse(text).get("BODY")
        return oid

    def one_document_delete(self, _user: str, oid: int) -> int:
        del self.documents[self._document(oid).id]
        return oid

    def one_documentpool_info(self, _user: str, *_filters: int) -> str:
        return f"<DOCUMENT_POOL>{''.join(d.xml() for d in self.documents.values())}</DOCUMENT_POOL>"

    def one_vn_reserve(self, _user: str, _parent: int, text: str) -> int:
        return self._network(Template.parse(text).get("NAME"))

    def one_vntemplate_instantiate(self, _user: str, _oid: int, name: str, _extra: str) -> int:
        return self._network(name)

    def one_vn_delete(self, _user: str, oid: int) -> int:
        if self.networks.pop(oid, None) is None:
            raise OneError(1024, "no such network")
        return oid

    def one_vnpool_info(self, _user: str, *_filters: int) -> str:
        vnets = (
            f"<VNET><ID>{i}</ID><UID>2</UID><NAME>{escape(n)}</NAME></VNET>" for i, n in self.networks.items()
        )
        return f"<VNET_POOL>{''.join(vnets)}</VNET_POOL>"

    def _network(self, name: str) -> int:
        if name in self.networks.values():
            raise OneError(256, f"NAME is already taken by NET {name}.")
        oid = max(self.networks, default=-1) + 1
        self.networks[oid] = name
        self.made_networks += 1
        return oid

    # The world goes on

    def step(self) -> bool:
        """Every VM that is on its way goes one step; False when none is."""
        moved = False
        for vm in self.vms.values():
            moved = self._go_on(vm) or moved
        return moved

    def _go_on(self, vm: FakeVm) -> bool:
        if vm.state is VmState.PENDING:
            self._to(vm, VmState.ACTIVE, LcmState.PROLOG)
        elif vm.state is VmState.ACTIVE and vm.lcm is LcmState.BOOT and self.failing.get(vm.name, 0) > 0:
            self.failing[vm.name] -= 1
            vm.user.set("ERROR", "the image is broken")
            self._to(vm, VmState.ACTIVE, LcmState.BOOT_FAILURE)
        elif vm.state is VmState.ACTIVE and vm.lcm in _COMING_UP:
            self._to(vm, VmState.ACTIVE, _COMING_UP[vm.lcm])
        elif vm.state is VmState.ACTIVE and vm.lcm is LcmState.SHUTDOWN:
            if vm.id in self.deaf:
                self._to(vm, VmState.ACTIVE, LcmState.RUNNING)
            else:
                self._to(vm, VmState.DONE, LcmState.LCM_INIT)
        else:
            return False
        return True

    def become(self, oid: int, state: VmState, lcm: LcmState = LcmState.LCM_INIT) -> None:
        self._to(self.vms[oid], state, lcm)

    def update(self, oid: int, text: str) -> None:
        """Somebody updates the user template of a VM."""
        self.vms[oid].user.merge(Template.parse(text))
        parameters = (
            f"<PARAMETER><POSITION>{place}</POSITION><TYPE>IN</TYPE><VALUE>{escape(value)}</VALUE></PARAMETER>"
            for place, value in enumerate(("****", str(oid), text, "1"), 1)
        )
        message = f"<HOOK_MESSAGE><CALL_INFO>{''.join(parameters)}</CALL_INFO></HOOK_MESSAGE>"
        self.events.append(("EVENT API one.vm.update 1", message))

    def deliver(self) -> None:
        events, self.events = self.events, []
        for key, message in events:
            self.hear(key, b64encode(message.encode()))

    @property
    def alive(self) -> list[FakeVm]:
        return [vm for vm in self.vms.values() if vm.state is not VmState.DONE]

    def _to(self, vm: FakeVm, state: VmState, lcm: LcmState) -> int:
        vm.state, vm.lcm = state, lcm
        self._tell(vm)
        return vm.id

    def _tell(self, vm: FakeVm) -> None:
        if service := vm.user.get("SERVICE_ID"):
            message = (
                f"<HOOK_MESSAGE><HOOK_TYPE>STATE</HOOK_TYPE><HOOK_OBJECT>VM</HOOK_OBJECT>"
                f"<STATE>{vm.state.name}</STATE><LCM_STATE>{vm.lcm.name}</LCM_STATE>"
                f"<RESOURCE_ID>{vm.id}</RESOURCE_ID>{vm.xml()}</HOOK_MESSAGE>"
            )
            self.events.append((f"EVENT SERVICE {service} ", message))

    def _vm(self, oid: int) -> FakeVm:
        if oid not in self.vms:
            raise OneError(1024, f"[one.vm] Error getting virtual machine [{oid}].")
        return self.vms[oid]

    def _document(self, oid: int) -> FakeDocument:
        if oid not in self.documents:
            raise OneError(1024, f"[one.document] Error getting document [{oid}].")
        return self.documents[oid]
