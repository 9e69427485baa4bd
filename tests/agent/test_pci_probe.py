"""The PCI probe reads what the kernel shows, and tells only of what may be given to guests."""

from pathlib import Path

import pytest

from merope_agent import pci

NAMES = """\
# a comment
10de  NVIDIA Corporation
\t1eb8  TU104GL [Tesla T4]
\t\t10de 12a2  Tesla T4
8086  Intel Corporation
\t10fb  82599ES 10-Gigabit SFI/SFP+ Network Connection
C 02  Network controller
\t00  Ethernet controller
C 03  Display controller
"""


def machine(root: Path) -> Path:
    devices = {
        "0000:03:00.0": ("0x10de", "0x1eb8", "0x030200", "1"),
        "0000:02:10.3": ("0x8086", "0x10fb", "0x020000", "-1"),
        "not-a-device": ("0x1", "0x2", "0x3", "0"),
    }
    for name, values in devices.items():
        for file, value in zip(("vendor", "device", "class", "numa_node"), values, strict=True):
            path = root / "sys/bus/pci/devices" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value + "\n")
    path = root / "usr/share/misc/pci.ids"
    path.parent.mkdir(parents=True)
    path.write_text(NAMES)
    return root


def test_a_device_is_told_with_its_numbers_its_names_and_its_node(tmp_path: Path) -> None:
    [network, gpu] = [vector for _, vector in pci.devices(machine(tmp_path))]
    assert gpu == {
        "TYPE": "10de:1eb8:0302",
        "CLASS": "0302",
        "CLASS_NAME": "Display controller",
        "VENDOR": "10de",
        "VENDOR_NAME": "NVIDIA Corporation",
        "DEVICE": "1eb8",
        "DEVICE_NAME": "TU104GL [Tesla T4]",
        "ADDRESS": "0000:03:00:0",
        "SHORT_ADDRESS": "03:00.0",
        "DOMAIN": "0000",
        "BUS": "03",
        "SLOT": "00",
        "FUNCTION": "0",
        "NUMA_NODE": "1",
    }
    assert (network["SHORT_ADDRESS"], network["CLASS_NAME"]) == ("02:10.3", "Ethernet controller")
    assert network["NUMA_NODE"] == "-"


@pytest.mark.parametrize(
    ("shown", "addresses"),
    [
        (pci.Filter(), []),
        (pci.Filter(["0:0"]), []),
        (pci.Filter(["10de"]), ["03:00.0"]),
        (pci.Filter(["10de:*"]), ["03:00.0"]),
        (pci.Filter(["::0200", "10de:1eb8"]), ["02:10.3", "03:00.0"]),
        (pci.Filter(["*:*:0300"]), []),
        (pci.Filter(["*"], short_addresses=["02:10.3"]), ["02:10.3"]),
        (pci.Filter(["*"], names=["Tesla"]), ["03:00.0"]),
        (pci.Filter(["*"], names=["[Tesla"]), ["03:00.0"]),
        (pci.Filter(["nonsense!"]), []),
    ],
)
def test_only_devices_that_the_filter_names_are_told(
    tmp_path: Path, shown: pci.Filter, addresses: list[str]
) -> None:
    found = pci.devices(machine(tmp_path), shown)
    assert [vector["SHORT_ADDRESS"] for _, vector in found] == addresses


def test_without_a_list_of_names_the_numbers_stand_for_themselves(tmp_path: Path) -> None:
    root = machine(tmp_path)
    (root / "usr/share/misc/pci.ids").unlink()
    [_, gpu] = [vector for _, vector in pci.devices(root)]
    assert (gpu["VENDOR_NAME"], gpu["DEVICE_NAME"], gpu["CLASS_NAME"]) == ("10de", "1eb8", "0302")


def test_a_machine_without_pci_has_no_devices(tmp_path: Path) -> None:
    assert pci.devices(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", pci.Filter()),
        ("# as it comes\n:filter: '0:0'\n:short_address: []\n", pci.Filter(("0:0",))),
        (
            ":filter:\n  - '10de:*'\n  - \"8086::0200\"  # cards\n:device_name:\n  - 'Tesla'\n",
            pci.Filter(("10de:*", "8086::0200"), (), ("Tesla",)),
        ),
        (
            ":filter: 10de:1eb8,::0200\n:short_address: ['03:00.0', 04:00.0]\n:other: x\n",
            pci.Filter(("10de:1eb8", "::0200"), ("03:00.0", "04:00.0")),
        ),
    ],
)
def test_the_filter_of_512s_configuration_is_read(text: str, shown: pci.Filter) -> None:
    assert pci.read_filter(text) == shown
