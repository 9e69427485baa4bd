"""All services read from the core, with the states of their VMs: at the start, and after the core was away.

A VM that was made, but not noted because the server (or the connection) died in between, is found again: it
has the SERVICE_ID and ROLE_NAME of a role that lacks VMs, the service's owner, and the name of the next VM.
"""

import logging
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from merope.client.client import parse_document
from merope.flow.documents import SERVICE, owner_of, service_of, view_of
from merope.flow.service import Node, Service
from merope.flow.settings import FlowSettings
from merope.flow.states import Phase, State
from merope.flow.vm_templates import vm_name
from merope.flow.world import World
from merope.services.core import Core, text

log = logging.getLogger("merope.flow")

_ALL, _NOT_DONE = -2, -1
#: States in which a role makes VMs.
_GROWING = (State.DEPLOYING, State.SCALING, State.WARNING)


async def load(core: Core, world: World, settings: FlowSettings) -> list[tuple[Service, str]]:
    """Every service that is not over, with its body as it is stored; `world` gets the VMs of them."""
    since = world.messages
    pool = parse_document(await text(core, "", "one.documentpool.info", _ALL, -1, -1, SERVICE))
    services = [s for document in pool.iterfind("DOCUMENT") if (s := _read(document)) is not None]
    if not services:
        return []
    by_id = {service.id: service for service in services}
    bodies = [service.to_text() for service in services]
    owners = {vm: service for service in services for vm in service.vm_ids}
    found: dict[int, list[Element]] = {}
    # In one piece: between pages, a VM that ends would hide another.
    vms = parse_document(await text(core, "", "one.vmpool.infoextended", _ALL, -1, -1, _NOT_DONE))
    for vm in vms.iterfind("VM"):
        _sort(vm, owners, by_id, found, world, since)
    for oid, candidates in found.items():
        adopt(by_id[oid], candidates, world, settings, since)
    return list(zip(services, bodies, strict=True))


def _read(document: Element) -> Service | None:
    try:
        service = service_of(document)
    except (ValueError, KeyError, TypeError) as error:
        log.error("document %s is no service: %s", document.findtext("ID"), error)
        return None
    return service if service.state is not State.DONE or service.purge else None


def _sort(
    vm: Element,
    owners: dict[int, Service],
    by_id: dict[int, Service],
    found: dict[int, list[Element]],
    world: World,
    since: int,
) -> None:
    oid = int(vm.findtext("ID", "-1"))
    if oid in owners:
        world.views[oid] = world.told(oid, view_of(vm), since)
        world.service_of[oid] = owners[oid].id
        return
    named = vm.findtext("USER_TEMPLATE/SERVICE_ID", "")
    if named.isdecimal() and int(named) in by_id:
        found.setdefault(int(named), []).append(vm)


def adopt(service: Service, vms: Iterable[Element], world: World, settings: FlowSettings, since: int) -> None:
    for vm in vms:
        role = service.role(vm.findtext("USER_TEMPLATE/ROLE_NAME", ""))
        oid, name, view = int(vm.findtext("ID", "-1")), vm.findtext("NAME", ""), view_of(vm)
        if role is None or len(role.live) >= role.cardinality or view.phase is Phase.GONE:
            continue
        owner = owner_of(vm)
        if owner.uid != service.owner.uid or role.state not in _GROWING:
            continue
        numbers = range(role.last_vmname, role.last_vmname + role.cardinality)
        names = {vm_name(settings.vm_name_template, service, role.name, n): n for n in numbers}
        if name not in names:
            continue
        info = {"VM": {tag: vm.findtext(tag, "") for tag in ("ID", "UID", "GID", "UNAME", "GNAME", "NAME")}}
        role.nodes.append(Node(oid, info, scale_up=role.state is State.SCALING))
        role.rest["adopted"] = max(role.rest.get("adopted", 0), names[name] + 1)
        world.views[oid] = world.told(oid, view, since)
        world.service_of[oid] = service.id
        log.warning("service %d: VM %d of role %s is found again", service.id, oid, role.name)
    for role in service.roles:
        role.last_vmname = max(role.last_vmname, role.rest.pop("adopted", 0))
