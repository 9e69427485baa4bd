"""Which right each action on a VM takes: the configuration, a group or a user can move actions between
USE, MANAGE and ADMIN (spec xmlrpc.yaml `vm_action_ops`, `vm_action_lookup`)."""

from collections.abc import Iterable

from merope.core import authorization
from merope.core.transaction import Transaction
from merope.model.group import Group
from merope.model.permissions import Op
from merope.model.template import Template
from merope.model.user import User
from merope.model.vm import VM

_LISTS = (
    (Op.USE, "VM_USE_OPERATIONS"),
    (Op.MANAGE, "VM_MANAGE_OPERATIONS"),
    (Op.ADMIN, "VM_ADMIN_OPERATIONS"),
)


def require(tx: Transaction, vm: VM, action: str, *more: authorization.Target) -> None:
    """Raises ApiError AUTHORIZATION unless the caller may do the action (a name of the lists, "poweroff")."""
    authorization.require(tx, authorization.on(right(tx, action), vm), *more)


def right(tx: Transaction, action: str) -> Op:
    name = action.removesuffix("-hard")
    for template in _templates(tx):
        for op, attribute in _LISTS:
            listed = template.get(attribute)
            if listed and name in _names(listed.split(",")):
                return op
    settings = tx.settings
    for op, names in (
        (Op.USE, settings.vm_use_operations),
        (Op.MANAGE, settings.vm_manage_operations),
        (Op.ADMIN, settings.vm_admin_operations),
    ):
        if name in names:
            return op
    return Op.MANAGE


def _templates(tx: Transaction) -> Iterable[Template]:
    user, group = tx.find(User, tx.caller.uid), tx.find(Group, tx.caller.gid)
    return [found.template for found in (user, group) if found is not None and found.template]


def _names(words: Iterable[str]) -> set[str]:
    return {word.strip().lower() for word in words if word.strip()}
