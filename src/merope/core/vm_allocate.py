"""Making a VM from a template: every attribute checked, then everything that it uses taken.

Source: spec templates.yaml `vm` (`parse_order`, `placement`, `errors`).
"""

import base64

from merope.core import (
    authorization,
    behalf,
    generic,
    quota,
    vm_context,
    vm_disk_snapshot_steps,
    vm_disks,
    vm_files,
    vm_group,
    vm_import,
    vm_nics,
    vm_quotas,
    vm_requests,
    vm_requirements,
    vm_schedule,
    vm_topology,
)
from merope.core.transaction import Transaction
from merope.model import names
from merope.model.errors import ApiError, Code
from merope.model.phase import Phase
from merope.model.template import Template, restricted_attribute
from merope.model.vm import VM

#: Attributes that TEMPLATE holds; every other one goes to USER_TEMPLATE.
_TEMPLATE = frozenset(
    "CPU MEMORY VCPU DISK NIC NIC_ALIAS OS CPU_MODEL FEATURES INPUT GRAPHICS RAW CONTEXT PCI TOPOLOGY "
    "NUMA_NODE HYPERV_OPTIONS SPICE_OPTIONS EMULATOR CPU_COST MEMORY_COST DISK_COST VMGROUP NIC_DEFAULT "
    "TEMPLATE_ID "
    "CLONING_TEMPLATE_ID".split()
)
#: Written by the core; what a template says of them is left out.
_OURS = frozenset(
    "VMID AUTOMATIC_REQUIREMENTS AUTOMATIC_DS_REQUIREMENTS AUTOMATIC_NIC_REQUIREMENTS SECURITY_GROUP_RULE "
    "CREATED_BY IMPORTED TM_MAD_SYSTEM NAME TEMPLATE_NAME SUBMIT_ON_HOLD SNAPSHOT "
    "VROUTER_ID VROUTER_KEEPALIVED_ID VROUTER_KEEPALIVED_PASSWORD".split()
)
_COSTS = (("CPU_COST", "cpu"), ("MEMORY_COST", "memory"), ("DISK_COST", "disk"))
_LEGACY = {"REQUIREMENTS": "SCHED_REQUIREMENTS", "RANK": "SCHED_RANK"}
_SUBSTITUTED = ("SCHED_REQUIREMENTS",)
_PUBLIC = ("PUBLIC_CLOUD", "EC2")


def check_restricted(
    tx: Transaction, template: Template, base: Template | None = None, *, what: str = "VM Template"
) -> None:
    """Raises ApiError AUTHORIZATION when somebody who is no administrator sets a restricted attribute."""
    if tx.caller.is_admin:
        return
    found = restricted_attribute(template, tx.settings.vm_restricted_attr, base)
    if found:
        raise authorization.denied(tx.caller, f"{what} includes a restricted attribute {found}")


def allocate(tx: Transaction, source: Template, *, on_hold: bool, router: Template | None = None) -> VM:
    """A new VM of the caller's; `router` is what it has as the VM of a virtual router.

    Raises ApiError ALLOCATE, NO_EXISTS, AUTHORIZATION (rights, quotas).
    """
    try:
        return _allocate(tx, source, router or Template(), on_hold=on_hold)
    except ApiError as error:
        # What cannot be is told in one form, whichever part of the VM it is about.
        if error.code is not Code.ACTION:
            raise
        raise generic.allocate_error(error.message) from error


def _allocate(tx: Transaction, source: Template, router: Template, *, on_hold: bool) -> VM:
    owner = behalf.take_owner(tx, source)
    template, user_template = split(source)
    template.merge(router)
    _check_numbers(template)
    vm_topology.complete(template)
    vm_topology.complete_devices(template, tx.settings.pci_passthrough_bus)
    hold = on_hold or source.get_bool("SUBMIT_ON_HOLD") or tx.settings.vm_submit_on_hold
    _check_uses(tx, template, owner.uid)
    vm_id = tx.new_id(VM)
    vm = VM(
        id=vm_id,
        uid=owner.uid,
        gid=owner.gid,
        uname=owner.uname,
        gname=owner.gname,
        name=_name(source, vm_id),
        permissions=generic.default_permissions(tx),
        stime=tx.now,
        template=template,
        user_template=user_template,
    )
    template.set("VMID", str(vm_id))
    if hold:
        template.set("SUBMIT_ON_HOLD", "YES")
    tx.add(vm)
    vm_import.take_name(vm)
    _random_passwords(tx, template)
    ready = _take_resources(tx, vm)
    _substitute(tx, vm)
    try:
        vm_schedule.take_actions(user_template, fresh=True)
    except vm_schedule.ScheduleError as fault:
        raise _bad(str(fault)) from fault
    vm_requirements.compute(tx, vm)
    phase = Phase.CLONING if not ready else Phase.HOLD if hold else Phase.PENDING
    vm.state = vm.prev_state = phase.state
    if quota.counts(vm.uid, vm.gid):
        quota.charge(tx, vm.uid, vm.gid, vm_quotas.everything(vm))
    return vm


def split(source: Template) -> tuple[Template, Template]:
    """TEMPLATE and USER_TEMPLATE of a VM made from a template."""
    template, user_template = Template(), Template()

    def part(name: str) -> tuple[Template | None, str]:
        if name in _OURS:
            return None, name
        return (template if name in _TEMPLATE else user_template), _LEGACY.get(name, name)

    source.parted(part)
    return template, user_template


def _name(source: Template, vm_id: int) -> str:
    name = source.get("NAME") or f"{source.get('TEMPLATE_NAME') or 'one'}-{vm_id}"
    fault = names.name_fault(name)
    if fault:
        raise _bad(fault)
    return name


def _check_numbers(template: Template) -> None:
    if _positive(template.get("MEMORY"), whole=True) is None:
        raise _bad("MEMORY attribute must be a positive integer value.")
    if _positive(template.get("CPU"), whole=False) is None:
        raise _bad("CPU attribute must be a positive float or integer value.")
    if "VCPU" in template and _positive(template.get("VCPU"), whole=True) is None:
        raise _bad("VCPU attribute must be a positive integer value.")
    for name, _ in _COSTS:
        if name in template and vm_requests.decimal(template.get(name)) is None:
            raise _bad(f"{name} attribute must be a positive float or integer value.")
    check_sections(template)


def check_sections(template: Template) -> None:
    """Raises ApiError ALLOCATE for an OS, RAW or GRAPHICS that cannot be."""
    if len(template.values("OS")) > 1:
        raise _bad("Only one OS attribute can be defined.")
    for vector in template.vectors("RAW"):
        if not vector.get("TYPE"):
            raise _bad("RAW needs a TYPE (kvm, lxd …).")
    for vector in template.vectors("GRAPHICS"):
        if vector.get("PORT") and not vm_requests.whole(vector["PORT"], 65535):
            raise _bad(f"GRAPHICS: PORT must be from 1 to 65535, not {vm_requests.shown(vector['PORT'])}.")


def _positive(text: str, *, whole: bool) -> float | None:
    return (vm_requests.whole(text) if whole else vm_requests.decimal(text)) or None


def _bad(sentence: str) -> ApiError:
    return ApiError(Code.ALLOCATE, sentence)


def _check_uses(tx: Transaction, template: Template, uid: int) -> None:
    authorization.require(
        tx,
        *vm_disks.uses(tx, template, uid),
        *vm_nics.uses(tx, template, uid),
        *vm_group.uses(tx, template, uid),
    )
    vm_files.resolve(tx, template, uid)


def _random_passwords(tx: Transaction, template: Template) -> None:
    """PASSWD of a display that asks for one (spec templates.yaml `GRAPHICS`).

    VNC takes eight characters and no more, SPICE at most 59.
    """
    for graphics in template.vectors("GRAPHICS"):
        if graphics.get("RANDOM_PASSWD") and not graphics.get("PASSWD"):
            size = 6 if graphics.get("TYPE", "").upper() == "VNC" else 24
            graphics["PASSWD"] = base64.urlsafe_b64encode(tx.context.random(size)).decode()


def _take_resources(tx: Transaction, vm: VM) -> bool:
    template = vm.template
    vm_nics.prepare(template)
    for nic in vm_nics.nics_of(template):
        if not vm_nics.is_auto(nic):
            vm_nics.acquire(tx, vm.id, vm.uid, nic)
    vm_nics.join_security_groups(tx, vm)
    ready = vm_disks.acquire(tx, vm.id, vm.uid, template)
    vm_disk_snapshot_steps.bring_all(tx, vm)
    vm_disks.assign_boot_order(template)
    vm_context.build(tx, vm)
    vm_disks.assign_targets(template, tx.settings.default_cdrom_device_prefix)
    vm_group.join(tx, vm)
    return ready


def _substitute(tx: Transaction, vm: VM) -> None:
    user, room = vm.user_template, vm_context.Room()
    for name in _SUBSTITUTED:
        if name in user:
            user.set(name, vm_context.substitute(tx, vm, user.get(name), room))
    for name in _PUBLIC:
        for vector in user.vectors(name):
            filled = {key: vm_context.substitute(tx, vm, value, room) for key, value in vector.items()}
            vector.update(filled)
