"""The map of VLAN ids that OpenNebula reads."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model import vlan_bitmap


@given(st.sets(st.integers(0, 4095)))
def test_a_map_is_read_back_as_it_was_written(ids: set[int]) -> None:
    assert vlan_bitmap.decode(vlan_bitmap.encode(ids)) == ids


def test_the_highest_id_stands_first() -> None:
    digits = zlib.decompress(base64.b64decode(vlan_bitmap.encode({0, 4095}))).decode()
    assert (len(digits), digits[0], digits[-1], digits.count("1")) == (4096, "1", "1", 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "%",
        "AAAA",
        base64.b64encode(zlib.compress(b"01")).decode(),
        base64.b64encode(zlib.compress(b"2" * 4096)).decode(),
        base64.b64encode(zlib.compress(b"0" * 10_000_000)).decode(),
    ],
)
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="map of VLAN ids"):
        vlan_bitmap.decode(text)
