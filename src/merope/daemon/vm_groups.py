"""VM groups as the scheduler sees them, and the check of a placement against them when it is carried out."""

from collections.abc import Iterable

from merope.core import vm_group
from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.template import Template, Vector
from merope.model.vm import VM
from merope.model.vm_group import VmGroup
from merope.scheduler.affinity import Relations
from merope.scheduler.snapshot import GroupView, RoleView


def view(group: VmGroup) -> GroupView:
    return GroupView(
        id=group.id,
        roles=tuple(_role(role) for role in group.roles.vectors("ROLE")),
        affined=_rules(group.template, "AFFINED"),
        anti_affined=_rules(group.template, "ANTI_AFFINED"),
    )


def members(group: GroupView) -> frozenset[int]:
    return frozenset[int]().union(*(role.vm_ids for role in group.roles))


def located(tx: Transaction, vm_ids: Iterable[int]) -> dict[int, int]:
    """The hosts of those of the VMs that take up room on one, or are on their way to it."""
    found = {}
    for vm_id in vm_ids:
        vm = tx.find(VM, vm_id)
        host = None if vm is None or vm.history is None else tx.find(Host, vm.history.hid)
        if host is not None and vm_id in host.vms:
            found[vm_id] = host.id
    return found


def check(tx: Transaction, vm_id: int, host_id: int) -> None:
    """Raises ApiError ACTION when a rule of the VM's group forbids the host, as things are now."""
    vm = tx.get(VM, vm_id)
    vector = vm.template.vector("VMGROUP")
    group = None if vector is None else tx.find(VmGroup, int(vector.get("VMGROUP_ID") or -1))
    if group is None:
        return
    seen = view(group)
    relations = Relations(seen)
    broken = [
        rule.text
        for rule in relations.rules([vm_id], located(tx, members(seen) - {vm_id}))
        if not rule.allows(host_id)
    ]
    if broken:
        detail = f"VM group [{group.id}] keeps VM [{vm_id}] from host [{host_id}]: {'; '.join(broken)}"
        raise ApiError(Code.ACTION, detail, vm_id)


def _role(role: Vector) -> RoleView:
    return RoleView(
        name=role["NAME"],
        policy=role.get("POLICY", "").upper() or "NONE",
        vm_ids=frozenset(vm_group.vms_of(role)),
        host_affined=_ids(role.get("HOST_AFFINED", "")),
        host_anti_affined=_ids(role.get("HOST_ANTI_AFFINED", "")),
    )


def _ids(listed: str) -> frozenset[int]:
    return frozenset(int(word) for word in listed.split(",") if word.strip())


def _rules(template: Template, name: str) -> tuple[frozenset[str], ...]:
    return tuple(vm_group.names(value) for value in template.values(name) if isinstance(value, str))
