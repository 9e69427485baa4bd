"""The interface of a network driver: what a host needs before and after a VM's NICs are plugged.

Every operation is idempotent.
"""

from typing import Protocol

from merope.model.vm import VM


class NetworkDriver(Protocol):
    """Raises DriverError. Only the NICs whose VN_MAD is this driver's are touched.

    `nic_id` is one NIC or alias (NIC_ID) of the VM that alone is plugged or unplugged; None: all of them.
    """

    def pre(self, vm: VM, nic_id: int | None = None) -> None:
        """Before the domain starts: bridges that must be there."""
        ...

    def post(self, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:
        """After it started: rules on its interfaces."""
        ...

    def clean(self, vm: VM, nic_id: int | None = None) -> None:
        """After it is gone: what this VM's NICs (or the one, which `vm` still has) alone needed."""
        ...

    def update(self, vm: VM, deploy_id: str, security_group: int) -> None:
        """The rules of a security group have changed: those on the VM's interfaces with it, as they are now.

        A driver that filters nothing has nothing to do.
        """
        ...
