"""Streams of images: whole, checked, as fast as allowed, decompressed without trust."""

import bz2
import gzip
import hashlib
import io
import itertools
import lzma
import zlib
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from merope.drivers.datastore import streams
from merope.drivers.datastore.streams import (
    Expected,
    bandwidth,
    checked,
    chunks,
    decompressed,
    shown,
    throttled,
)
from merope.drivers.errors import DriverError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "none": lambda data: b"\x55\xaa" + data,
}


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return (data[start:end] for start, end in itertools.pairwise(places))


@given(
    st.sampled_from(list(COMPRESS)), st.binary(max_size=2000), st.lists(st.integers(0, 10_000), max_size=8)
)
def test_data_is_decompressed_however_it_is_cut_into_pieces(name: str, data: bytes, cuts: list[int]) -> None:
    expected = data if name != "none" else COMPRESS["none"](data)
    assert b"".join(decompressed(pieces(COMPRESS[name](data), cuts))) == expected


@given(
    st.sampled_from(["gzip", "bzip2", "xz", "zstd"]),
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.integers(0, 600),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_streams_that_follow_each_other_are_joined_and_padding_is_left_out(
    name: str, parts: list[bytes], padding: int, cuts: list[int]
) -> None:
    data = b"".join(map(COMPRESS[name], parts)) + bytes(padding)
    assert b"".join(decompressed(pieces(data, cuts))) == b"".join(parts)


@given(
    st.sampled_from(["gzip", "bzip2", "xz", "zstd"]),
    st.binary(min_size=1, max_size=300),
    st.integers(0, 10_000),
)
def test_a_compressed_stream_that_is_cut_off_or_damaged_never_passes_for_other_data(
    name: str, data: bytes, place: int
) -> None:
    whole = COMPRESS[name](data)
    cut = whole[: 8 + place % (len(whole) - 8)]
    with pytest.raises(DriverError, match=r"cut off|damaged"):
        b"".join(decompressed([cut]))


@given(st.sampled_from([b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00"]), st.binary(max_size=200))
def test_junk_after_a_magic_number_is_an_error_and_nothing_else(magic: bytes, junk: bytes) -> None:
    with pytest.raises(DriverError):
        b"".join(decompressed([magic + junk]))


def test_a_bomb_is_unpacked_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    assert max(map(len, decompressed([bomb]))) <= streams.CHUNK


def test_a_bomb_of_zstd_is_unpacked_in_pieces_of_some_megabytes() -> None:
    bomb = zstandard.compress(bytes(512 * 1024 * 1024))
    assert len(bomb) < streams.CHUNK
    assert max(map(len, decompressed([bomb]))) <= 16 * streams.CHUNK


def test_an_empty_stream_is_empty() -> None:
    assert list(decompressed([])) == []


def test_raw_deflate_is_not_taken_for_anything_compressed() -> None:
    data = zlib.compress(b"data")
    assert b"".join(decompressed([data])) == data


@given(st.binary(max_size=500), st.lists(st.integers(0, 1000), max_size=5))
def test_a_checksum_that_fits_lets_all_data_through(data: bytes, cuts: list[int]) -> None:
    expected = Expected(hashlib.md5(data).hexdigest(), f" {hashlib.sha1(data).hexdigest().upper()} ")
    assert b"".join(checked(pieces(data, cuts), expected)) == data


@given(st.binary(max_size=500))
def test_a_checksum_that_does_not_fit_is_an_error(data: bytes) -> None:
    with pytest.raises(DriverError, match="MD5"):
        list(checked([data], Expected(md5=hashlib.md5(data + b"x").hexdigest())))


def test_a_stream_that_is_shorter_than_announced_is_an_error() -> None:
    assert b"".join(chunks(io.BytesIO(b"12345"), 5)) == b"12345"
    with pytest.raises(DriverError, match="ended after 5 of 6 bytes") as caught:
        list(chunks(io.BytesIO(b"12345"), 6))
    assert caught.value.retry_safe


@pytest.mark.parametrize(
    ("text", "rate"), [("", 0), ("100", 100), ("10K", 10240), (" 2m ", 2097152), ("1G", 1073741824)]
)
def test_a_bandwidth_is_a_number_with_a_suffix(text: str, rate: int) -> None:
    assert bandwidth(text) == rate


@pytest.mark.parametrize("text", ["fast", "10X", "1.5M", "M10"])
def test_a_bandwidth_that_is_none_is_named(text: str) -> None:
    with pytest.raises(DriverError, match=f"LIMIT_TRANSFER_BW is '{text}'"):
        bandwidth(text)


def test_a_limited_stream_waits_and_an_unlimited_one_does_not() -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    assert len(list(throttled([b"x" * 100] * 10, 50, lambda: now, sleep))) == 10
    assert now == pytest.approx(20.0)
    list(throttled([b"x" * 100] * 10, 0, lambda: now, sleep))
    assert now == pytest.approx(20.0)


def test_a_url_is_shown_without_its_secrets() -> None:
    assert shown("https://user:pass@host:8080/a/b?token=x#y") == "https://host:8080/a/b"
    assert shown("/var/tmp/disk.img") == "/var/tmp/disk.img"
