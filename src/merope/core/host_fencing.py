"""FENCING of hosts and clusters: how a host is switched off. Checked when it is given."""

from merope.core import generic
from merope.core.transaction import Transaction
from merope.model import secret_attributes
from merope.model.template import Template, Vector

FENCING = "FENCING"


def check(tx: Transaction, new: Template, oid: int) -> None:
    """Raises ApiError when a FENCING says no driver, or has a password that would be kept in plain text."""
    for value in new.values(FENCING):
        if not isinstance(value, Vector) or not value.get("DRIVER"):
            raise generic.update_error(
                'FENCING must name a driver, such as FENCING = [ DRIVER = "ipmi", ADDRESS = "bmc1", '
                'USER = "fence", PASSWORD = "…" ]',
                oid,
            )
        if value.get("PASSWORD") and not (tx.settings.one_key and secret_attributes.is_available()):
            raise generic.update_error(
                "PASSWORD of FENCING would be kept for everybody to read: the front-end has no key "
                "(.one/one_key), or not the Python package cryptography",
                oid,
            )
