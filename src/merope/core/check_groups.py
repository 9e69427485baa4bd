"""VM groups against the VMs that play their roles, and what is logged against the hooks that there are."""

from collections.abc import Iterator, Mapping
from functools import partial

from merope.core import hook_log, vm_group
from merope.core.check import Finding, every, finding
from merope.core.transaction import Transaction
from merope.model.state import State
from merope.model.vm import VM
from merope.model.vm_group import VmGroup


def vm_groups(state: State) -> Iterator[Finding]:
    """A role lists exactly the VMs whose VMGROUP names it."""
    wanted: dict[tuple[int, str], set[int]] = {}
    for vm in every(state, VM):
        for vector in vm.template.vectors("VMGROUP"):
            if vector.get("VMGROUP_ID", "").isdecimal():
                wanted.setdefault((int(vector["VMGROUP_ID"]), vector.get("ROLE", "")), set()).add(vm.id)
    for group in every(state, VmGroup):
        stored = {role["NAME"]: vm_group.vms_of(role) for role in group.roles.vectors("ROLE")}
        found = {name: sorted(wanted.pop((group.id, name), ())) for name in stored}
        if stored != found:
            sentence = f"its roles list the VMs {_filled(stored)}, those that say so are {_filled(found)}"
            yield finding(group, sentence, partial(_set_roles, oid=group.id, vms=found))
    for (oid, role), vms in wanted.items():
        for vm_id in sorted(vms):
            sentence = f"VM {vm_id}: VM group {oid} has no role {role!r}, or is not there"
            yield Finding("vm_pool", vm_id, sentence)


def _filled(roles: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return {name: vms for name, vms in roles.items() if vms}


def _set_roles(tx: Transaction, *, oid: int, vms: Mapping[str, list[int]]) -> None:
    for role in tx.edit(VmGroup, oid).roles.vectors("ROLE"):
        vm_group.set_vms(role, vms[role["NAME"]])


def hook_logs(state: State) -> Iterator[Finding]:
    """What is logged is of a hook that is there."""
    for oid, logged in state.hook_log.items():
        if logged and oid not in state.pools["hook_pool"].entries:
            sentence = f"{len(logged)} executions are logged of hook {oid}, which is not there"
            yield Finding("hook_log", oid, sentence, partial(_forget_log, oid=oid))


def _forget_log(tx: Transaction, *, oid: int) -> None:
    hook_log.forget(tx, oid)


CHECKS = (vm_groups, hook_logs)
