"""The interface of a network driver: what a host needs before and after a VM's NICs are plugged.

Every operation is idempotent.
"""

from typing import Protocol

from merope.model.vm import VM


class NetworkDriver(Protocol):
    """Raises DriverError. Only the NICs whose VN_MAD is this driver's are touched."""

    def pre(self, vm: VM) -> None:
        """Before the domain starts: bridges that must be there."""
        ...

    def post(self, vm: VM, deploy_id: str) -> None:
        """After it started: rules on its interfaces."""
        ...

    def clean(self, vm: VM) -> None:
        """After it is gone: what this VM's NICs alone needed."""
        ...
