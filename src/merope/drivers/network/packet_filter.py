"""Security groups and FILTER_* of NICs on a host: rules that a VM's document asks for, put in force."""

import fcntl
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.network import iptables, spoofing
from merope.drivers.network.nics import bridge_of, device_of
from merope.drivers.network.packet_rules import Way, allowed
from merope.drivers.network.site import Site
from merope.drivers.network.tool import is_installed
from merope.model.template import Vector
from merope.model.vm import VM

_BRIDGE_NETFILTER = Path("/proc/sys/net/bridge")
_NUMBER = re.compile(r"\d+", re.ASCII)


class PacketFilter:
    """A Guard (`bridged`). Rules name the interface that a NIC will have, and may be there before it."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def put(self, vm: VM, nics: Sequence[Vector]) -> None:
        for nic in nics:
            self._show_to_iptables(bridge_of(vm, nic))
        with locked(self._site):
            for family in iptables.FAMILIES:
                present = iptables.read(self._site.tool, family)
                text = iptables.transaction(present, _wanted(present, family, vm, nics))
                if text:
                    iptables.write(self._site.tool, family, text)
            self._put_spoofing(vm, nics)

    def remove(self, vm: VM, nics: Sequence[Vector]) -> None:
        with locked(self._site):
            for family, program in iptables.FAMILIES.items():
                if is_installed(program):
                    present = iptables.read(self._site.tool, family)
                    text = iptables.transaction(present, present.with_nics({}, {}, _chains_of(vm, nics)))
                    if text:
                        iptables.write(self._site.tool, family, text)
            self._change_spoofing({}, spoofing.names_of(vm.id, _ids(nics)))

    def changes(self, vm: VM, nics: Sequence[Vector]) -> list[str]:
        """What `put` would change, for people: rules that go with a minus, those that come with a plus.

        Of the filters of addresses it tells whether they are there, not what is in them.
        """
        found: list[str] = []
        for family, program in iptables.FAMILIES.items():
            present = iptables.read(self._site.tool, family)
            before = iptables.shown(present)
            after = iptables.shown(_wanted(present, family, vm, nics))
            found += [f"- {program} {rule}" for rule in before if rule not in after]
            found += [f"+ {program} {rule}" for rule in after if rule not in before]
        there, wanted = set(spoofing.read(self._site.tool)), set(self._spoofing(vm, nics))
        ours = spoofing.names_of(vm.id, _ids(nics)) & there
        found += [f"- nft chain {name}" for name in sorted(ours - wanted)]
        return found + [f"+ nft chain {name}" for name in sorted(wanted - there)]

    def _put_spoofing(self, vm: VM, nics: Sequence[Vector]) -> None:
        self._change_spoofing(self._spoofing(vm, nics), spoofing.names_of(vm.id, _ids(nics)))

    def _spoofing(self, vm: VM, nics: Sequence[Vector]) -> dict[str, spoofing.Chain]:
        chains: dict[str, spoofing.Chain] = {}
        for nic in nics:
            chains |= spoofing.spoofing_chains(vm, nic, device_of(vm, nic))
        return chains

    def _change_spoofing(self, chains: dict[str, spoofing.Chain], gone: set[str]) -> None:
        text = spoofing.transaction(spoofing.read(self._site.tool), chains, gone)
        if text:
            spoofing.write(self._site.tool, text)

    def _show_to_iptables(self, bridge: str) -> None:
        """The kernel shows iptables what this bridge forwards, and not what others do unless asked to."""
        if not _BRIDGE_NETFILTER.is_dir():
            try:
                self._site.tool(["modprobe", "br_netfilter"])
            except DriverError as error:
                raise DriverError(f"security groups need the kernel's br_netfilter: {error}") from error
        options = [word for name in ("iptables", "ip6tables") for word in (f"nf_call_{name}", "1")]
        self._site.ip(["link", "set", "dev", bridge, "type", "bridge", *options])


def _wanted(present: iptables.State, family: int, vm: VM, nics: Sequence[Vector]) -> iptables.State:
    chains: iptables.Chains = {}
    devices: dict[str, str] = {}
    for nic in nics:
        number = int(nic["NIC_ID"])
        chains |= iptables.nic_chains(vm.id, number, allowed(vm, nic), family)
        devices |= {iptables.chain_name(vm.id, number, way): device_of(vm, nic) for way in Way}
    return present.with_nics(chains, devices, set())


def _chains_of(vm: VM, nics: Sequence[Vector]) -> set[str]:
    return {iptables.chain_name(vm.id, int(number), way) for number in _ids(nics) for way in Way}


def _ids(nics: Sequence[Vector]) -> list[str]:
    return [nic["NIC_ID"] for nic in nics if _NUMBER.fullmatch(nic.get("NIC_ID", ""))]


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """One change of a host's filters at a time: looking and changing are two steps."""
    site.state.mkdir(parents=True, exist_ok=True)
    with (site.state / "filters.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
