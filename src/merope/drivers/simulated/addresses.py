"""The address management of the simulated world: in memory, the lowest free address first."""

from merope.drivers.errors import DriverError
from merope.drivers.ipam.base import Attributes
from merope.model.address_range import AddressRange
from merope.model.leases import HELD, Leases

#: What a range is that was registered without addresses, as the example driver of 5.12 has it.
_SAMPLE = {
    "TYPE": "IP4",
    "IP": "10.0.0.1",
    "SIZE": "100",
    "NETWORK_MASK": "255.255.255.0",
    "GATEWAY": "10.0.0.1",
    "DNS": "10.0.0.1",
}


class SimulatedManager:
    """`taken`: the addresses that are given, by the first address of their range."""

    def __init__(self) -> None:
        self.taken: dict[str, Leases] = {}

    def register(self, attributes: Attributes) -> dict[str, str]:
        known = any(attributes.get(name) for name in ("IP", "IP6", "MAC"))
        return dict(attributes) if known else {**attributes, **_SAMPLE}

    def unregister(self, attributes: Attributes) -> None:
        self.taken.pop(_key(attributes), None)

    def allocate(self, attributes: Attributes, index: int, size: int) -> None:
        leases = self.leases_of(attributes)
        if not leases.is_free_run(index, size):
            raise DriverError("the addresses are given to others")
        self._take(leases, index, size)

    def get(self, attributes: Attributes, size: int) -> dict[str, str]:
        leases = self.leases_of(attributes)
        index = leases.first_free_run(size, int(attributes["SIZE"]))
        if index is None:
            raise DriverError("there are no addresses left")
        self._take(leases, index, size)
        lease = AddressRange(attributes).lease(index)
        return {name: lease[name] for name in ("IP", "IP6", "MAC") if name in lease}

    def free(self, attributes: Attributes, index: int, size: int) -> None:
        leases = self.leases_of(attributes)
        for number in range(index, index + size):
            leases.release(number, HELD)

    def remember(self, ranged: AddressRange) -> None:
        """What a stored range has given is given."""
        leases = self.leases_of(ranged.attributes)
        for index, _ in ranged.leases:
            if index not in leases:
                leases.give(index, HELD)

    def leases_of(self, attributes: Attributes) -> Leases:
        """The addresses of a range that are given."""
        return self.taken.setdefault(_key(attributes), Leases())

    @staticmethod
    def _take(leases: Leases, index: int, size: int) -> None:
        for number in range(index, index + size):
            leases.give(number, HELD)


def _key(attributes: Attributes) -> str:
    """A range may grow and shrink: its first address stays."""
    return next((attributes[name] for name in ("IP", "IP6", "MAC") if attributes.get(name)), "")
