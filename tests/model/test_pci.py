"""Choosing devices of a host for a VM, against all ways there are."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from merope.model import pci
from merope.model.pci import Wanted
from merope.model.template import Template, Vector

_DEVICES = st.lists(
    st.builds(
        lambda vendor, device, held: Vector(VENDOR=vendor, DEVICE=device, CLASS="0300", VMID=held),
        st.sampled_from(["8086", "10de"]),
        st.sampled_from(["0001", "0002", "0003"]),
        st.sampled_from(["-1", "-1", "-1", "7"]),
    ),
    max_size=5,
)
_WANTED = st.lists(
    st.builds(Wanted, st.sampled_from([None, 0x8086, 0x10DE]), st.sampled_from([None, 1, 2]), st.none()),
    max_size=4,
)


@given(_DEVICES, _WANTED)
def test_devices_are_found_just_when_there_are_enough(devices: list[Vector], wanted: list[Wanted]) -> None:
    free = [index for index, device in enumerate(devices) if device["VMID"] == "-1"]
    possible = any(
        all(one.matches(devices[index]) for one, index in zip(wanted, chosen, strict=True))
        for chosen in permutations(free, len(wanted))
    )
    found = pci.choose(devices, wanted)
    assert (found is not None) is possible
    if found is not None:
        assert len(set(found)) == len(wanted)
        assert set(found) <= set(free)
        assert all(one.matches(devices[index]) for one, index in zip(wanted, found, strict=True))


def test_numbers_are_compared_not_texts() -> None:
    template = Template.parse("PCI = [ VENDOR = 0x10DE, CLASS = 300 ]")
    assert pci.wanted_of(template) == (Wanted(0x10DE, None, 0x300),)
    assert pci.wanted_of(template)[0].matches(Vector(VENDOR="10de", CLASS="0300", DEVICE="1eb8"))


def test_the_first_device_that_is_free_is_taken() -> None:
    devices = [
        Vector(CLASS="0200", VMID="3"),
        Vector(CLASS="0200", VMID="-1"),
        Vector(CLASS="0200", VMID="-1"),
    ]
    assert pci.choose(devices, [Wanted(None, None, 0x200)]) == [1]
    assert pci.choose(devices, [Wanted(None, None, 0x200)], taken={1}) == [2]
