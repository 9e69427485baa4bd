"""What users, or their groups, prefer to what is configured: attribute OPENNEBULA of their templates.

Source: spec templates.yaml `user`: looked up in the user's template, then in the group's.
"""

from merope.core.transaction import Transaction
from merope.model.group import Group
from merope.model.user import User


def preference(tx: Transaction, name: str) -> str:
    """What the caller, or else its effective group, states in OPENNEBULA/`name`; empty when neither does."""
    owners: tuple[User | Group | None, ...] = (tx.find(User, tx.caller.uid), tx.find(Group, tx.caller.gid))
    for owner in owners:
        vector = None if owner is None else owner.template.vector("OPENNEBULA")
        if vector is not None and vector.get(name):
            return vector[name].upper()
    return ""
