"""What the driver `ebtables` filters: networks on one bridge are kept apart by the MACs of their NICs.

It is called after the program that 5.12 used; the rules are in the table of nftables that `spoofing` keeps.
"""

from collections.abc import Sequence

from merope.drivers.network import spoofing
from merope.drivers.network.nics import device_of
from merope.drivers.network.packet_filter import locked
from merope.drivers.network.site import Site
from merope.model.template import Vector
from merope.model.vm import VM


class MacGuard:
    def __init__(self, site: Site) -> None:
        self._site = site

    def put(self, vm: VM, nics: Sequence[Vector]) -> None:
        chains = {}
        for nic in nics:
            chains.update(spoofing.network_chains(vm, nic, device_of(vm, nic)))
        with locked(self._site):
            text = spoofing.transaction(spoofing.read(self._site.tool), chains, ())
            spoofing.write(self._site.tool, text)

    def remove(self, vm: VM, nics: Sequence[Vector]) -> None:
        with locked(self._site):
            gone = spoofing.names_of(vm.id, [nic["NIC_ID"] for nic in nics])
            text = spoofing.transaction(spoofing.read(self._site.tool), {}, gone)
            if text:
                spoofing.write(self._site.tool, text)
