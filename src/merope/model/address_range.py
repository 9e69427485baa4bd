"""Address ranges of virtual networks: what addresses each index has, and who holds which.

A range is a first MAC and, by type, a first IPv4 address, a first static IPv6 address, or IPv6 prefixes
under which addresses follow from the MAC (SLAAC). Index i has each of them plus i. Source: spec `vnet.ar`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from merope.model.addresses import (
    LINK_LOCAL,
    eui64,
    ip4_text,
    ip6_text,
    mac_text,
    parse_ip4,
    parse_ip6,
    parse_mac,
)
from merope.model.leases import Leases, owner_parts
from merope.model.long_text import LongList
from merope.model.permissions import ObjectType
from merope.model.range_attributes import (
    MAX_SIZE,
    AddressRangeError,
    RangeType,
    address,
    check_prefix_length,
    prefix,
    range_size,
    range_type,
)
from merope.model.template import Vector

__all__ = [
    "EVERYTHING",
    "MAX_RESERVATION",
    "MAX_SIZE",
    "AddressRange",
    "AddressRangeError",
    "RangeType",
    "Viewer",
]

MAX_RESERVATION: Final = 1 << 16
"""Addresses of the largest reservation; each one is a lease of the parent, which is stored and shown."""

_LOW_32: Final = 0xFFFF_FFFF
_DERIVED: Final = (
    "ALLOCATED",
    "USED_LEASES",
    "LEASES",
    "PARENT_NETWORK_AR_ID",
    "PARENT_NETWORK",
    "MAC_END",
    "IP_END",
    "IP6_END",
    "IP6_ULA",
    "IP6_ULA_END",
    "IP6_GLOBAL",
    "IP6_GLOBAL_END",
)
_FIXED: Final = ("TYPE", "MAC", "IP", "IP6", "IPAM_MAD", "AR_ID", "PARENT_NETWORK_AR_ID")
_OVERRIDES: Final = ("VN_MAD", "BRIDGE", "PHYDEV", "VLAN_ID")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose leases a document shows: ids of VMs, networks and routers, None for those of all."""

    vms: Container[int] | None = None
    vnets: Container[int] | None = None
    vrouters: Container[int] | None = None


EVERYTHING: Final = Viewer()


class AddressRange:
    """One range. `attributes` are what is stored (but ALLOCATED); `leases` may be changed freely.

    Made by `create` from what a user gives, by `from_stored` from a stored document.
    """

    __slots__ = ("attributes", "global_prefix", "ip", "ip6", "leases", "mac", "size", "type", "ula_prefix")

    def __init__(self, attributes: Mapping[str, str], leases: Leases | None = None) -> None:
        """Raises ValueError when an attribute is missing or wrong."""
        self.attributes = Vector(attributes)
        self.leases = Leases() if leases is None else leases
        self.type = range_type(self.attributes)
        self.mac = address(attributes, "MAC", parse_mac)
        self.ip = address(attributes, "IP", parse_ip4) if self.type.ip4 else 0
        self.ip6 = address(attributes, "IP6", parse_ip6) if self.type.static else 0
        self.size = range_size(attributes)
        self._read_prefixes()

    def _read_prefixes(self) -> None:
        slaac = self.type.slaac
        self.global_prefix = prefix(self.attributes, "GLOBAL_PREFIX") if slaac else 0
        self.ula_prefix = prefix(self.attributes, "ULA_PREFIX") if slaac else 0

    @staticmethod
    def create(ar_id: int, given: Mapping[str, str], *, mac_prefix: int, random: int) -> AddressRange:
        """A new range with the id, from the vector AR of a template or of `one.vn.add_ar`.

        A range without MAC takes `mac_prefix` (16 bits, MAC_PREFIX) and its IPv4 address, or 32 bits of
        `random`. What only the core sets is left out. Raises AddressRangeError.
        """
        attributes = Vector(given)
        kind = range_type(attributes)
        for name in (*_DERIVED, *kind.foreign):
            attributes.pop(name, None)
        attributes["TYPE"] = kind.name
        attributes["AR_ID"] = str(ar_id)
        attributes["SIZE"] = str(range_size(attributes))
        if not attributes.get("MAC"):
            low = address(attributes, "IP", parse_ip4) if kind.ip4 else random & _LOW_32
            # A range that starts at random must not run past the end of its 32 bits.
            low = low if kind.ip4 else min(low, MAX_SIZE - int(attributes["SIZE"]))
            attributes["MAC"] = mac_text((mac_prefix & 0xFFFF) << 32 | low)
        if kind.static:
            check_prefix_length(attributes)
        created = AddressRange(attributes)
        created._check_fit(created.size)
        return created

    @staticmethod
    def from_stored(stored: Mapping[str, str]) -> AddressRange:
        """From the attributes of a stored AR. Raises ValueError naming the range when it is damaged."""
        attributes = dict(stored)
        try:
            return AddressRange(attributes, Leases.parse(attributes.pop("ALLOCATED", "")))
        except ValueError as fault:
            name = stored.get("AR_ID", "without AR_ID")
            raise ValueError(f"Stored address range {name} is damaged: {fault}") from fault

    @property
    def ar_id(self) -> int:
        return int(self.attributes["AR_ID"])

    @property
    def list_name(self) -> str:
        """What tells its leases from those of other ranges of a network, where they are a long list."""
        return f"AR {self.attributes['AR_ID']}"

    @property
    def parent_ar_id(self) -> int | None:
        """The range of the parent network that a reservation was taken from; None when it is none."""
        text = self.attributes.get("PARENT_NETWORK_AR_ID", "")
        return int(text) if text else None

    @property
    def security_groups(self) -> list[int]:
        """Ids of SECURITY_GROUPS, each once, ascending."""
        words = self.attributes.get("SECURITY_GROUPS", "").split(",")
        return sorted({int(word) for word in words if word.strip().isdecimal()})

    @property
    def used(self) -> int:
        """How many leases are given, held ones too."""
        return len(self.leases)

    def lease(self, index: int) -> dict[str, str]:
        """The addresses of an index: MAC, and by type IP, IP6, IP6_LINK, IP6_ULA, IP6_GLOBAL."""
        mac = _plus(self.mac, index)
        lease = {"MAC": mac_text(mac)}
        if self.type.ip4:
            lease["IP"] = ip4_text(_plus(self.ip, index))
        if self.type.static:
            lease["IP6"] = ip6_text(_plus(self.ip6, index))
        if self.type.slaac:
            lease["IP6_LINK"] = ip6_text(eui64(LINK_LOCAL, mac))
            if self.ula_prefix:
                lease["IP6_ULA"] = ip6_text(eui64(self.ula_prefix, mac))
            if self.global_prefix:
                lease["IP6_GLOBAL"] = ip6_text(eui64(self.global_prefix, mac))
        return lease

    def nic_attributes(self, index: int, inherited: Iterable[str] = ()) -> dict[str, str]:
        """What a NIC gets with a lease: addresses, AR_ID, and what the range sets in place of its network.

        `inherited` are the names of INHERIT_VNET_ATTR.
        """
        own = {name: self.attributes[name] for name in (*_OVERRIDES, *inherited) if self.attributes.get(name)}
        return {**own, **self.lease(index), "AR_ID": self.attributes["AR_ID"]}

    def index_of_mac(self, text: str) -> int | None:
        """The index whose MAC this is, free or not; None when it is no MAC or outside the range."""
        return self._index_of(text, parse_mac, self.mac)

    def index_of_ip(self, text: str) -> int | None:
        """As `index_of_mac`, for the IPv4 address."""
        return self._index_of(text, parse_ip4, self.ip) if self.type.ip4 else None

    def index_of_ip6(self, text: str) -> int | None:
        """As `index_of_mac`, for a static IPv6 address."""
        return self._index_of(text, parse_ip6, self.ip6) if self.type.static else None

    def _index_of(self, text: str, parse: Callable[[str], int], first: int) -> int | None:
        try:
            index = parse(text) - first
        except ValueError:
            return None
        return index if 0 <= index < self.size else None

    def first_free(self) -> int | None:
        """The lowest index that nobody has."""
        return self.leases.first_free(self.size)

    def allocate(self, owner: int, index: int | None = None) -> int | None:
        """Gives the index, or the lowest free one, to an owner (`leases.owner_of`, `leases.HELD`).

        None when it is outside the range or already given, or the range is full.
        """
        if index is None:
            index = self.first_free()
        if index is None or not 0 <= index < self.size or index in self.leases:
            return None
        self.leases.give(index, owner)
        return index

    def release(self, owner: int, index: int) -> bool:
        """Takes a lease back; False when the owner has not got it."""
        return self.leases.release(index, owner)

    def release_all(self, owner: int) -> list[int]:
        """Takes back every lease of an owner and tells which they were."""
        indexes = self.leases.of(owner)
        for index in indexes:
            self.leases.release(index, owner)
        return indexes

    def reserve(self, owner: int, size: int, first: int | None = None) -> Vector | None:
        """Gives `size` consecutive leases to a network, from `first` or the lowest place where they fit.

        The attributes of the range that the network makes of them (`reservation`), None when there is no
        such room. Raises AddressRangeError when the size is not 1…MAX_RESERVATION.
        """
        if not 1 <= size <= MAX_RESERVATION:
            raise AddressRangeError(f"SIZE of a reservation must be from 1 to {MAX_RESERVATION}, not {size}")
        if first is None:
            first = self.leases.first_free_run(size, self.size)
        elif not 0 <= first <= self.size - size or not self.leases.is_free_run(first, size):
            return None
        if first is None:
            return None
        for index in range(first, first + size):
            self.leases.give(index, owner)
        lease = self.lease(first)
        attributes = Vector(self.attributes)
        attributes.pop("IPAM_MAD", None)
        attributes.update((name, lease[name]) for name in ("MAC", "IP", "IP6") if name in lease)
        attributes["SIZE"] = str(size)
        attributes["PARENT_NETWORK_AR_ID"] = self.attributes["AR_ID"]
        return attributes

    @staticmethod
    def reservation(ar_id: int, reserved: Mapping[str, str]) -> AddressRange:
        """The range of a reserving network, from what `reserve` gave."""
        return AddressRange({**reserved, "AR_ID": str(ar_id)})

    def update(self, given: Mapping[str, str], kept: Collection[str] = ()) -> None:
        """Replaces the attributes (`one.vn.update_ar`), but those that say which addresses these are.

        `kept` are restricted attributes, which stay as they are too. Raises AddressRangeError, having
        changed nothing, when a used lease would fall outside or a prefix is wrong.
        """
        new = Vector(given)
        for name in (*_DERIVED, *self.type.foreign, *_FIXED, *kept):
            new.pop(name, None)
            if name in self.attributes:
                new[name] = self.attributes[name]
        if self.type.static and not new.get("PREFIX_LENGTH"):
            new["PREFIX_LENGTH"] = self.attributes.get("PREFIX_LENGTH", "")
        if self.type.static:
            check_prefix_length(new)
        new["SIZE"] = str(self._new_size(new))
        for name in ("GLOBAL_PREFIX", "ULA_PREFIX"):
            prefix(new, name)
        self.attributes = new
        self.size = int(new["SIZE"])
        self._read_prefixes()

    def _new_size(self, given: Mapping[str, str]) -> int:
        if not given.get("SIZE"):
            return self.size
        size = range_size(given)
        if self.parent_ar_id is not None and size != self.size:
            raise AddressRangeError("The SIZE of a reservation cannot be changed.")
        if self.leases.last() >= size:
            raise AddressRangeError(
                "New SIZE cannot be applied. There are used leases that would fall outside the range."
            )
        self._check_fit(size)
        return size

    def removal_fault(self, *, force: bool = False) -> str | None:
        """Why the range cannot be taken out of its network, None when it can."""
        return "Address Range has leases in use" if self.leases and not force else None

    def _check_fit(self, size: int) -> None:
        starts = {"MAC": self.mac, "IP": self.ip, "IP6": self.ip6}
        for name, start in starts.items():
            room = MAX_SIZE - (start & _LOW_32)
            if size > room:
                raise AddressRangeError(
                    f"Wrong SIZE for address range, from {name} {self.attributes.get(name, '')} "
                    f"it can be at most {room}"
                )

    def to_stored_xml(self) -> str:
        """AR as the database and the pool have it: the attributes, and ALLOCATED when there is any."""
        return "".join(map(str, self.stored_pieces(len(self.leases))))

    def stored_pieces(self, most: int) -> list[str | LongList]:
        """As `to_stored_xml`; more than `most` leases are a piece of their own."""
        chunks = self.leases.chunks()
        if not chunks:
            return [f"<AR>{self._attributes_xml()}</AR>"]
        if len(self.leases) > most:
            leases: str | LongList = LongList(self.list_name, dict(chunks))
        else:
            leases = "".join(chunks.values())
        return ["<AR><ALLOCATED><![CDATA[", leases, f"]]></ALLOCATED>{self._attributes_xml()}</AR>"]

    def to_xml(self, viewer: Viewer = EVERYTHING) -> str:
        """AR as `one.vn.info` shows it, with the leases that the viewer may see."""
        ends = "".join(f"<{name}>{_cdata(text)}</{name}>" for name, text in self._ends())
        leases = "".join(self._leases_xml(viewer))
        leases = f"<LEASES>{leases}</LEASES>" if leases else "<LEASES/>"
        return f"<AR>{self._attributes_xml()}{ends}<USED_LEASES>{self.used}</USED_LEASES>{leases}</AR>"

    def _attributes_xml(self) -> str:
        return "".join(f"<{name}>{_cdata(text)}</{name}>" for name, text in sorted(self.attributes.items()))

    def _ends(self) -> Iterator[tuple[str, str]]:
        first, last = self.lease(0), self.lease(self.size - 1)
        yield "MAC_END", last["MAC"]
        if self.type.ip4:
            yield "IP_END", last["IP"]
        for name in ("IP6_ULA", "IP6_GLOBAL"):
            if name in first:
                yield name, first[name]
                yield f"{name}_END", last[name]
        if self.type.static:
            yield "IP6_END", last["IP6"]

    def _leases_xml(self, viewer: Viewer) -> Iterator[str]:
        shown = {
            int(ObjectType.VM): ("VM", viewer.vms),
            int(ObjectType.NET): ("VNET", viewer.vnets),
            int(ObjectType.VROUTER): ("VROUTER", viewer.vrouters),
        }
        # Every kind of owner sorts behind all addresses.
        names = sorted(self.lease(0))
        for index, owner in self.leases:
            kind, oid = owner_parts(owner)
            element, ids = shown.get(kind, ("", ()))
            if not (ids is None or oid in ids):
                continue
            lease = self.lease(index)
            addresses = "".join([f"<{name}><![CDATA[{lease[name]}]]></{name}>" for name in names])
            yield f"<LEASE>{addresses}<{element}><![CDATA[{oid}]]></{element}></LEASE>"


def _plus(address: int, index: int) -> int:
    return address & ~_LOW_32 | (address + index) & _LOW_32


def _cdata(text: str) -> str:
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"
