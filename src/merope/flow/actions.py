"""Actions carried out on the core: one function each, as the service's owner, with what became of it."""

from collections.abc import Awaitable, Callable
from typing import Any

from merope.client.client import parse_document
from merope.client.errors import ClientError, ConnectionFailed, OneError
from merope.flow.documents import view_of
from merope.flow.outcomes import Outcome
from merope.flow.service import Network, Service
from merope.flow.settings import FlowSettings
from merope.flow.states import TERMINABLE, Phase, VmView
from merope.flow.turn import (
    Action,
    Boot,
    DropNetwork,
    EndVm,
    Forget,
    Look,
    MakeNetwork,
    MakeVm,
    Remake,
)
from merope.flow.vm_templates import extra_template, network_name, vm_name
from merope.flow.world import World
from merope.model.errors import Code
from merope.model.states import VmState
from merope.model.template import Template, Vector
from merope.services.core import Core, number, text

_DELETE, _RECREATE = 3, 4
_GONE = VmView(VmState.DONE)


class Hands:
    """Carries out the actions of services. Raises ConnectionFailed where the core is not there."""

    def __init__(self, core: Core, world: World, settings: FlowSettings) -> None:
        self._core = core
        self._world = world
        self._settings = settings

    async def do(self, service: Service, action: Action) -> Outcome:
        try:
            return await _DEEDS[type(action)](self, service, action)
        except ConnectionFailed:
            raise
        except (ClientError, ValueError) as error:
            return Outcome(refusal=_sentence(error))

    async def _make_vm(self, service: Service, action: MakeVm) -> Outcome:
        role = service.role(action.role)
        assert role is not None
        owner = service.owner
        name = vm_name(self._settings.vm_name_template, service, role.name, action.number)
        context = await self._context(service, role.vm_template) if service.custom_attrs_values else None
        extra = extra_template(service, role, context).to_text()
        hold = role.on_hold or service.on_hold
        made = await number(
            self._core, owner.uname, "one.template.instantiate", role.vm_template, name, hold, extra, False
        )
        vm = {
            "ID": str(made), "UID": str(owner.uid), "GID": str(owner.gid),
            "UNAME": owner.uname, "GNAME": owner.gname, "NAME": name,
        }  # fmt: skip
        self._world.made(made, service.id)
        return Outcome(made, {"VM": vm})

    async def _context(self, service: Service, template: int) -> Vector | None:
        found = await text(self._core, service.owner.uname, "one.template.info", template)
        inner = parse_document(found).find("TEMPLATE")
        return None if inner is None else Template.from_element(inner).vector("CONTEXT")

    async def _end_vm(self, service: Service, action: EndVm) -> Outcome:
        if action.action == "delete":
            return await self._order(service, action.vm, "one.vm.recover", action.vm, _DELETE)
        return await self._order(service, action.vm, "one.vm.action", action.action, action.vm)

    async def _boot(self, service: Service, action: Boot) -> Outcome:
        return await self._order(service, action.vm, "one.vm.action", "resume", action.vm)

    async def _remake(self, service: Service, action: Remake) -> Outcome:
        return await self._order(service, action.vm, "one.vm.recover", action.vm, _RECREATE)

    async def _order(self, service: Service, vm: int, method: str, *arguments: Any) -> Outcome:
        """An order that is refused may have come too late: then what the VM is now says what is next."""
        before, since = self._world.views.get(vm, _GONE).phase, self._world.messages
        try:
            await self._core.call(service.owner.uname, method, *arguments)
        except OneError as error:
            if error.code == Code.AUTHORIZATION and method == "one.vm.recover":
                return Outcome(forbidden=True)
            view = await self._ask(service, vm)
            late = error.code == Code.ACTION and view.phase is not before and view.phase not in TERMINABLE
            if view.phase is Phase.GONE or late:
                return Outcome(view=view)
            return Outcome(refusal=_sentence(error), view=view)
        return Outcome(heard=self._world.heard_since(vm, since))

    async def _look(self, service: Service, action: Look) -> Outcome:
        return Outcome(view=await self._ask(service, action.vm))

    async def _ask(self, service: Service, vm: int) -> VmView:
        """With the owner's rights: whoever may write the document could name others' VMs in it."""
        since = self._world.messages
        try:
            document = parse_document(await text(self._core, service.owner.uname, "one.vm.info", vm, False))
        except OneError as error:
            if error.code == Code.NO_EXISTS:
                return _GONE
            raise
        return self._world.told(vm, view_of(document), since)

    async def _make_network(self, service: Service, action: MakeNetwork) -> Outcome:
        network = next(network for network in service.networks if network.name == action.name)
        wanted = Template.parse(network.extra)
        name = wanted.get("NAME") or network_name(self._settings.vn_name_template, service, network.name)
        if (made := await self._own_network(service, network, name)) is not None:
            return Outcome(made)
        owner = service.owner.uname
        if "reserve_from" in network.given:
            wanted.set("NAME", name)
            parent = int(network.given["reserve_from"])
            made = await number(self._core, owner, "one.vn.reserve", parent, wanted.to_text())
        else:
            wanted.remove("NAME")
            template = int(network.given["template_id"])
            wanted.set("SERVICE_ID", str(service.id))
            made = await number(
                self._core, owner, "one.vntemplate.instantiate", template, name, wanted.to_text()
            )
        return Outcome(made)

    async def newest_network(self, service: Service) -> int:
        """The highest id of the owner's networks, which one that is made after this exceeds."""
        pool = parse_document(await text(self._core, "", "one.vnpool.info", service.owner.uid, -1, -1))
        return max((int(vnet.findtext("ID", "-1")) for vnet in pool.iterfind("VNET")), default=-1)

    async def _own_network(self, service: Service, network: Network, name: str) -> int | None:
        """The network that a server which was killed had made, before it could note so."""
        pool = parse_document(await text(self._core, "", "one.vnpool.info", service.owner.uid, -1, -1))
        for vnet in pool.iterfind("VNET"):
            oid = int(vnet.findtext("ID", "-1"))
            if vnet.findtext("NAME") == name and oid > int(network.given.get("after", oid)):
                return oid
        return None

    async def _drop_network(self, service: Service, action: DropNetwork) -> Outcome:
        try:
            await self._core.call(service.owner.uname, "one.vn.delete", action.vnet)
        except OneError as error:
            if error.code != Code.NO_EXISTS:
                raise
        return Outcome()

    async def _forget(self, service: Service, _: Forget) -> Outcome:
        try:
            await self._core.call("", "one.document.delete", service.id)
        except OneError as error:
            if error.code != Code.NO_EXISTS:
                raise
        return Outcome()


_DEEDS: dict[type[Any], Callable[[Hands, Service, Any], Awaitable[Outcome]]] = {
    MakeVm: Hands._make_vm,
    EndVm: Hands._end_vm,
    Boot: Hands._boot,
    Remake: Hands._remake,
    Look: Hands._look,
    MakeNetwork: Hands._make_network,
    DropNetwork: Hands._drop_network,
    Forget: Hands._forget,
}


def _sentence(error: Exception) -> str:
    return (error.message if isinstance(error, OneError) else str(error))[:500]
