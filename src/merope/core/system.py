"""The cloud as a whole: its version and its configuration."""

from merope.core.methods import Access, Type, method
from merope.core.transaction import Transaction

#: The version whose interface this is: what clients compare theirs with.
VERSION = "5.12.0"


@method("one.system.version", returns=Type.STRING, read_only=True)
def version(tx: Transaction) -> str:
    """The version of the interface."""
    return VERSION


@method("one.system.config", returns=Type.STRING, read_only=True, access=Access.ADMIN_GROUP)
def config(tx: Transaction) -> str:
    """What is configured, with what is secret masked."""
    return tx.settings.document
