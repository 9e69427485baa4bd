"""A network that needs nothing from the host: the bridge is there, or nobody cares."""

from merope.model.vm import VM


class DummyNetwork:
    def pre(self, vm: VM, nic_id: int | None = None) -> None:
        """Nothing has to be made."""

    def post(self, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:
        """Nothing has to be filtered."""

    def clean(self, vm: VM, nic_id: int | None = None) -> None:
        """Nothing was made."""

    def update(self, vm: VM, deploy_id: str, security_group: int) -> None:
        """Nothing is filtered."""
