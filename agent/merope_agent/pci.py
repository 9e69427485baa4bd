"""PCI devices of this host that may be given to guests.

The vectors are those of the monitoring protocol: PCI with hexadecimal numbers without 0x, ADDRESS
"<domain>:<bus>:<slot>:<function>" and SHORT_ADDRESS "<bus>:<slot>.<function>".
"""

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

Named = Tuple[str, Dict[str, str]]

_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")
_PART = r"([0-9a-fA-F]{1,4}|\*?)"
_FILTER = re.compile(f"{_PART}(?::{_PART}(?::{_PART})?)?")
_NAMES = ("usr/share/hwdata/pci.ids", "usr/share/misc/pci.ids", "usr/share/pci.ids")
_ROOT = Path("/")


class Filter(NamedTuple):
    """Which devices are shown. `ids` are words "vendor:device:class" of which parts may be left out or `*`;
    none shows none, as "0:0" does, since no vendor has that number. `short_addresses` and `names` (regular
    expressions) narrow that further."""

    ids: Sequence[str] = ()
    short_addresses: Sequence[str] = ()
    names: Sequence[str] = ()


def read_filter(text: str) -> Filter:
    """The filter of a `pci.conf` as 5.12 has it: `:filter:`, `:short_address:` and `:device_name:`, each with
    a list of words below it, or with words and commas beside it. Other lines mean nothing."""
    found: Dict[str, List[str]] = {"filter": [], "short_address": [], "device_name": []}
    key = ""
    for line in text.splitlines():
        content = line.partition("#")[0].strip()
        setting = re.fullmatch(r":(\w+):\s*(.*)", content)
        if setting:
            key, content = setting.group(1), setting.group(2).strip("[] ")
        elif content.startswith("-"):
            content = content[1:]
        else:
            continue
        words = (word.strip().strip("\"'") for word in content.split(","))
        found.setdefault(key, []).extend(word for word in words if word)
    return Filter(*(tuple(found[name]) for name in ("filter", "short_address", "device_name")))


def devices(root: Path = _ROOT, shown: Optional[Filter] = None) -> List[Named]:
    """The PCI vectors of the devices that the filter lets through; all of them without one."""
    names = _read_names(root)
    found: List[Named] = []
    for path in sorted(_entries(root / "sys/bus/pci/devices"), key=lambda entry: entry.name):
        vector = _device(path, names)
        if vector and (shown is None or _matches(vector, shown)):
            found.append(("PCI", vector))
    return found


def _device(path: Path, names: "_Names") -> Dict[str, str]:
    address = _ADDRESS.fullmatch(path.name)
    if not address:
        return {}
    domain, bus, slot, function = address.groups()
    vendor, device = _hex(path / "vendor", 4), _hex(path / "device", 4)
    kind = _hex(path / "class", 6)[:4]
    if not vendor or not device:
        return {}
    node = _read(path / "numa_node").strip()
    return {
        "TYPE": ":".join((vendor, device, kind)),
        "CLASS": kind,
        "CLASS_NAME": names.of_class(kind),
        "VENDOR": vendor,
        "VENDOR_NAME": names.vendors.get(vendor, vendor),
        "DEVICE": device,
        "DEVICE_NAME": names.devices.get((vendor, device), device),
        "ADDRESS": ":".join((domain, bus, slot, function)),
        "SHORT_ADDRESS": f"{bus}:{slot}.{function}",
        "DOMAIN": domain,
        "BUS": bus,
        "SLOT": slot,
        "FUNCTION": function,
        # A machine with one node says -1 of all its devices.
        "NUMA_NODE": node if node.isdigit() else "-",
    }


def _matches(vector: Dict[str, str], shown: Filter) -> bool:
    if not any(_matches_ids(vector, word) for word in shown.ids):
        return False
    if shown.short_addresses and vector["SHORT_ADDRESS"] not in shown.short_addresses:
        return False
    return not shown.names or any(_is_named(vector["DEVICE_NAME"], name) for name in shown.names)


def _is_named(device: str, name: str) -> bool:
    try:
        return re.search(name, device) is not None
    except re.error:
        return name in device


def _matches_ids(vector: Dict[str, str], word: str) -> bool:
    parts = _FILTER.fullmatch(word.strip())
    if not parts:
        return False
    keys = ("VENDOR", "DEVICE", "CLASS")
    return all(
        part in (None, "", "*") or int(part, 16) == int(vector[key] or "0", 16)
        for key, part in zip(keys, parts.groups())
    )


class _Names:
    """What pci.ids calls vendors, devices and classes."""

    def __init__(self) -> None:
        self.vendors: Dict[str, str] = {}
        self.devices: Dict[Tuple[str, str], str] = {}
        self.classes: Dict[str, str] = {}

    def of_class(self, kind: str) -> str:
        return self.classes.get(kind) or self.classes.get(kind[:2]) or kind


def _read_names(root: Path) -> _Names:
    """The host's own list; without one the numbers stand for themselves."""
    names = _Names()
    listed = next((content for name in _NAMES for content in (_read(root / name),) if content), "")
    owner, of_classes = "", False
    for line in listed.splitlines():
        if not line or line.startswith(("#", "\t\t")):
            continue
        number, _, name = line.strip().partition("  ")
        if not line.startswith("\t"):
            of_classes = number.startswith("C ")
            owner = number[2:] if of_classes else number
            (names.classes if of_classes else names.vendors)[owner] = name.strip()
        elif of_classes:
            names.classes[owner + number] = name.strip()
        else:
            names.devices[owner, number] = name.strip()
    return names


def _hex(path: Path, digits: int) -> str:
    content = _read(path).strip().lower()
    return content[2:].rjust(digits, "0") if re.fullmatch(r"0x[0-9a-f]+", content) else ""


def _entries(directory: Path) -> List[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
