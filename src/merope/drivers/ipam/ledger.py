"""Address management by a ledger: a page for each range, in a directory that several clouds may share.

Networks, or clouds, that register the same range share its page, so that no address is given twice. Ranges
that overlap without being the same are refused. A page is a file of JSON, written whole; one lock serves
the whole ledger.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from merope.drivers.errors import DriverError
from merope.drivers.files import replaced_file
from merope.drivers.ipam.base import Attributes
from merope.model.address_range import AddressRange, AddressRangeError
from merope.model.addresses import ip4_text, ip6_text, mac_text

_LOCK: Final = ".lock"
_ANY_MAC: Final = "02:00:00:00:00:00"
"""For ranges that are registered before they have one."""


class LedgerManager:
    """`directory` holds the pages; it is made when it is first needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def register(self, attributes: Attributes) -> dict[str, str]:
        wanted = _range(attributes)
        with self._locked():
            for other in self._directory.glob("*.json"):
                _check_apart(wanted, other.stem)
            page = self._page(wanted)
            if not page.exists():
                self._write(page, set())
        return dict(attributes)

    def unregister(self, attributes: Attributes) -> None:
        """The page goes with the last of its addresses: others may have registered the range too."""
        with self._locked():
            page = self._page(_range(attributes))
            if page.exists() and not self._read(page):
                page.unlink()

    def allocate(self, attributes: Attributes, index: int, size: int) -> None:
        self._give(_range(attributes), index, size)

    def get(self, attributes: Attributes, size: int) -> dict[str, str]:
        ranged = _range(attributes)
        first = self._give(ranged, None, size)
        lease = ranged.lease(first)
        return {name: lease[name] for name in ("IP", "IP6", "MAC") if name in lease}

    def free(self, attributes: Attributes, index: int, size: int) -> None:
        with self._locked():
            page = self._page(_range(attributes))
            if page.exists():
                self._write(page, self._read(page) - set(range(index, index + size)))

    def _give(self, ranged: AddressRange, index: int | None, size: int) -> int:
        with self._locked():
            page = self._page(ranged)
            if not page.exists():
                raise DriverError("the ledger has no page for the range: it was not registered")
            taken = self._read(page)
            if index is None:
                index = _first_run(taken, size, ranged.size)
            wanted = set() if index is None else set(range(index, index + size))
            if index is None or index + size > ranged.size or taken & wanted:
                raise DriverError("the ledger has given the addresses to others, or has none left")
            self._write(page, taken | wanted)
            return index

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._directory / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise DriverError(f"the ledger in {self._directory} cannot be used: {error.strerror}") from error

    def _page(self, ranged: AddressRange) -> Path:
        return self._directory / f"{_name(ranged)}.json"

    def _read(self, page: Path) -> set[int]:
        try:
            return {int(index) for index in json.loads(page.read_text())}
        except (ValueError, TypeError) as error:
            raise DriverError(f"the page {page.name} of the ledger is damaged") from error

    def _write(self, page: Path, taken: set[int]) -> None:
        with replaced_file(page) as fresh:
            fresh.write_text(json.dumps(sorted(taken)))


def _range(attributes: Attributes) -> AddressRange:
    try:
        ranged = AddressRange({"MAC": _ANY_MAC, **attributes})
    except AddressRangeError as error:
        raise DriverError(f"the ledger cannot keep the range: {error}") from error
    if _space(ranged)[0] == "mac" and not attributes.get("MAC"):
        raise DriverError("the ledger keeps a range without IP or IP6 by its MAC, which is missing")
    return ranged


def _first_run(taken: set[int], size: int, limit: int) -> int | None:
    start = 0
    for index in sorted(taken):
        if index - start >= size:
            break
        start = index + 1
    return start if start + size <= limit else None


def _space(ranged: AddressRange) -> tuple[str, int]:
    """The kind of the addresses that must differ, and the first of them."""
    if ranged.type.ip4:
        return "ip4", ranged.ip
    return ("ip6", ranged.ip6) if ranged.type.static else ("mac", ranged.mac)


def _name(ranged: AddressRange) -> str:
    kind, first = _space(ranged)
    return f"{kind}-{first:x}-{ranged.size}"


def _check_apart(wanted: AddressRange, name: str) -> None:
    kind, first = _space(wanted)
    size = wanted.size
    try:
        other_kind, other_text, other_size = name.split("-")
        start, count = int(other_text, 16), int(other_size)
    except ValueError:
        return
    if kind != other_kind or (first, size) == (start, count):
        return
    if start < first + size and first < start + count:
        text = {"ip4": ip4_text, "ip6": ip6_text, "mac": mac_text}[kind](start)
        raise DriverError(f"the range overlaps with another in the ledger: {count} addresses from {text}")
