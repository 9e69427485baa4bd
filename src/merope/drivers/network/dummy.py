"""A network that needs nothing from the host: the bridge is there, or nobody cares."""

from merope.model.vm import VM


class DummyNetwork:
    def pre(self, vm: VM) -> None:
        """Nothing has to be made."""

    def post(self, vm: VM, deploy_id: str) -> None:
        """Nothing has to be filtered."""

    def clean(self, vm: VM) -> None:
        """Nothing was made."""
