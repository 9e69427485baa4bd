"""Virtual routers: commands.

A router is its NICs; the VMs that do the routing are made of a VM template that is marked VROUTER=YES.
Source: spec xmlrpc.yaml `one.vrouter.*`, templates.yaml `vrouter`, recorded vrouter.xml.
"""

from typing import Final

from merope.core import (
    acl,
    authorization,
    generic,
    quota,
    vm,
    vm_devices,
    vm_nic_plug,
    vm_nics,
    vm_quotas,
    vm_recover,
    vm_requests,
    vrouter_nics,
)
from merope.core import template as vm_template
from merope.core.methods import Need, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.owned import Owned
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template
from merope.model.user import User
from merope.model.vm import VM
from merope.model.vm_template import VmTemplate
from merope.model.vrouter import VirtualRouter

MOST_VMS: Final = 255
"""VMs of one request: as many as a group of keepalived can tell apart."""

_MANAGE = (Need(Op.MANAGE, VirtualRouter, "id"),)
_NETWORKS = "USE on each network and security group; quota NETWORK; restricted attributes of NICs"


@method(
    "one.vrouter.allocate",
    text("template"),
    needs=(Need(Op.CREATE, VirtualRouter),),
    also=_NETWORKS,
)
def allocate(tx: Transaction, source: str) -> int:
    """Makes a router with the NICs of its template, and no VMs yet."""
    template = generic.parse_template(source)
    caller = tx.caller
    name = generic.take_name(tx, VirtualRouter, template, caller.uid)
    nics = vrouter_nics.take_given(tx, template)
    fault = _keepalived_fault(template)
    if fault:
        raise generic.allocate_error(fault)
    asked = Template([("NIC", nic) for nic in nics])
    authorization.require(tx, *vm_nics.uses(tx, asked, caller.uid))
    router = VirtualRouter(
        id=tx.new_id(VirtualRouter),
        name=name,
        **generic.owned_by_caller(tx),
        template=template,
    )
    for nic in nics:
        vrouter_nics.acquire(tx, router, nic)
    tx.add(router)
    quota.charge(tx, router.uid, router.gid, vrouter_nics.leases(template))
    return router.id


def _keepalived_fault(template: Template) -> str:
    stated = template.get("KEEPALIVED_ID")
    if stated and not vm_requests.whole(stated, 255):
        return f"KEEPALIVED_ID must be from 1 to 255, not {vm_requests.shown(stated)}."
    return ""


@generic.checks_updates(VirtualRouter)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """NICs are attached and detached, not updated."""
    assert isinstance(value, VirtualRouter)
    for name in ("NAME", "NIC"):
        new.remove(name)
    for nic in value.template.vectors("NIC"):
        new.add("NIC", nic)
    fault = _keepalived_fault(new)
    if fault:
        raise generic.update_error(fault, value.id)
    return new


@method("one.vrouter.delete", integer("id"), needs=_MANAGE)
def delete(tx: Transaction, oid: int) -> int:
    """Removes a router, terminates its VMs, and returns its floating addresses."""
    router = tx.edit(VirtualRouter, oid)
    for vm_id in sorted(router.vms):
        _terminate(tx, vm_id)
    quota.refund(tx, router.uid, router.gid, vrouter_nics.leases(router.template))
    for nic in router.template.vectors("NIC"):
        vrouter_nics.release(tx, router, nic)
    acl.drop_rules_about(tx, ObjectType.VROUTER, oid)
    tx.delete(router)
    return oid


def _terminate(tx: Transaction, vm_id: int) -> None:
    try:
        vm.perform(tx, tx.get(VM, vm_id), "terminate-hard", "terminate-hard")
    except ApiError as error:
        # It is in no state to be terminated: it goes all the same.
        if error.code is not Code.ACTION:
            raise
        vm_recover.delete(tx, vm_id)


@method(
    "one.vrouter.instantiate",
    integer("id"),
    integer("n_vms"),
    integer("template"),
    text("name"),
    boolean("hold"),
    text("extra"),
    needs=_MANAGE,
    also="USE TEMPLATE, CREATE TEMPLATE where extra is not empty, USE on each image, network and security "
    "group; quotas",
)
def instantiate(
    tx: Transaction, oid: int, n_vms: int, template_id: int, name: str, hold: bool, extra: str
) -> int:
    """Makes VMs of a template for a router, all or none. %i in their name is the number of each; template
    -1 is the one that was used before. Answers the router's id."""
    router = tx.edit(VirtualRouter, oid)
    if not 0 <= n_vms <= MOST_VMS:
        raise ApiError(Code.ACTION, f"The number of VMs must be from 0 to {MOST_VMS}, not {n_vms}.", oid)
    used = _template_of(tx, router, template_id)
    source = used.template.copy()
    if extra:
        vm_template.merge_extra(tx, source, extra)
    for number in range(n_vms):
        of_router = vm_attributes(router)
        vm_name = (name or f"vr-{router.name}-%i").replace("%i", str(number))
        made = vm_template.make(tx, used, source.copy(), vm_name, on_hold=hold, router=of_router)
        router.vms.add(made.id)
    router.template.set("TEMPLATE_ID", str(used.id))
    return oid


def _template_of(tx: Transaction, router: VirtualRouter, template_id: int) -> VmTemplate:
    if template_id == -1:
        known = vm_requests.whole(router.template.get("TEMPLATE_ID"))
        if known is None:
            detail = "A template ID was not provided, and the virtual router does not have a default one"
            raise ApiError(Code.ACTION, detail, router.id)
        template_id = known
    used = tx.get(VmTemplate, template_id)
    authorization.require(tx, authorization.on(Op.USE, used))
    if not used.template.get_bool("VROUTER"):
        raise ApiError(Code.ACTION, "Only virtual router templates are allowed", template_id)
    return used


def vm_attributes(router: VirtualRouter) -> Template:
    """What each VM of a router has of it: its NICs, and how keepalived is to know it."""
    found = Template([("NIC", vrouter_nics.of_vm(nic)) for nic in router.template.vectors("NIC")])
    stated = vm_requests.whole(router.template.get("KEEPALIVED_ID"), 255)
    found.set("VROUTER_ID", str(router.id))
    found.set("VROUTER_KEEPALIVED_ID", str(stated or router.id % 255 + 1))
    password = router.template.get("KEEPALIVED_PASSWORD")
    if password:
        found.set("VROUTER_KEEPALIVED_PASSWORD", password)
    return found


@method("one.vrouter.attachnic", integer("id"), text("template"), needs=_MANAGE, also=_NETWORKS)
def attachnic(tx: Transaction, oid: int, source: str) -> int:
    """Gives a router one more NIC, and each of its VMs too; all of them or none."""
    given = generic.parse_template(source)
    if len(given.values("NIC")) != 1 or given.values("NIC_ALIAS"):
        raise ApiError(Code.ACTION, "The template must have one NIC, and no NIC_ALIAS.", oid)
    router = tx.edit(VirtualRouter, oid)
    before = vrouter_nics.leases(router.template)
    with vm_devices.refusals(oid):
        [nic] = vrouter_nics.take_given(tx, given)
        authorization.require(tx, *vm_nics.uses(tx, Template([("NIC", nic)]), router.uid))
        vm_nics.check_number(router.template, 1)
        vrouter_nics.acquire(tx, router, nic)
    quota.charge(tx, router.uid, router.gid, vrouter_nics.leases(router.template) - before)
    for vm_id in sorted(router.vms):
        vm_nic_plug.plug(tx, tx.get(VM, vm_id), Template([("NIC", vrouter_nics.of_vm(nic))]))
    return oid


@method("one.vrouter.detachnic", integer("id"), integer("nic"), needs=_MANAGE)
def detachnic(tx: Transaction, oid: int, number: int) -> int:
    """Takes a NIC from a router and from each of its VMs; from all of them or none."""
    router = tx.edit(VirtualRouter, oid)
    nic = vrouter_nics.find(router, number)
    if nic is None:
        raise ApiError(Code.ACTION, f"NIC with NIC_ID {number} does not exist.", oid)
    for vm_id in sorted(router.vms):
        own = tx.get(VM, vm_id)
        in_vm = vrouter_nics.number_in_vm(router, nic, own.template)
        if in_vm is not None:
            vm_nic_plug.unplug(tx, own, in_vm)
    before = vrouter_nics.leases(router.template)
    vrouter_nics.release(tx, router, nic)
    quota.refund(tx, router.uid, router.gid, before - vrouter_nics.leases(router.template))
    return oid


def _follow_owner(tx: Transaction, value: Owned, uid: int, gid: int) -> None:
    """The VMs of a router belong to whom it belongs to."""
    assert isinstance(value, VirtualRouter)
    quota.move(tx, (value.uid, value.gid), (uid, gid), vrouter_nics.leases(value.template))
    for vm_id in sorted(value.vms):
        own = tx.edit(VM, vm_id)
        quota.move(tx, (own.uid, own.gid), (uid, gid), vm_quotas.everything(own))
        own.uid, own.gid = uid, gid
        own.uname, own.gname = tx.get(User, uid).name, tx.get(Group, gid).name


generic.moves_quotas(VirtualRouter, _follow_owner)


@method(
    "one.vrouter.chmod",
    integer("id"),
    *generic.BITS,
    also="MANAGE, or ADMIN where an admin bit changes",
)
def chmod(tx: Transaction, oid: int, *bits: int) -> int:
    """Changes the permissions of a router and of its VMs."""
    router = tx.get(VirtualRouter, oid)
    generic.change_mode(tx, router, bits)
    for vm_id in sorted(router.vms):
        own = tx.edit(VM, vm_id)
        own.permissions = own.permissions.changed(bits)
    return oid
