"""Reads an image from a file or a URL as a stream of bytes: checked, throttled, decompressed."""

import base64
import bz2
import hashlib
import http.client
import lzma
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import IO, Protocol
from urllib.request import Request

from merope.drivers.errors import DriverError

CHUNK = 1024 * 1024
_TIMEOUT = 60.0
"""Seconds that a server may be silent."""
_DECOMPRESSOR_MEMORY = 256 * 1024 * 1024
_SUFFIXES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True, slots=True)
class Expected:
    """What the downloaded bytes must hash to, as hexadecimal digests; empty is not checked."""

    md5: str = ""
    sha1: str = ""


class _HttpOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https only: not into the file system, nor to other protocols."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise DriverError(f"{shown(req.full_url)} redirects to something that is not http")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.OpenerDirector()
for _handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
    _HttpOnly,
):
    _OPENER.add_handler(_handler())


def shown(url: str) -> str:
    """A URL without the user, password and query that it may hold, for messages."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def download(url: str) -> tuple[IO[bytes], int | None]:
    """Opens an http or https URL: its stream, to be closed, and its length when the server says it.

    Raises DriverError, safe to retry, when it cannot be had.
    """
    try:
        response = _OPENER.open(_request(url), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise DriverError(f"{shown(url)} answered {error.code} {error.reason}", retry_safe=True) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DriverError(f"{shown(url)} cannot be downloaded: {reason}", retry_safe=True) from error
    length = response.headers.get("Content-Length", "")
    return response, int(length) if length.isdigit() else None


def _request(url: str) -> Request:
    parts = urllib.parse.urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    bare = urllib.parse.urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    request = Request(bare, headers={"Accept-Encoding": "identity"})  # noqa: S310 - the opener knows http only
    if user:
        login = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
    return request


def chunks(stream: IO[bytes], length: int | None = None) -> Iterator[bytes]:
    """The stream in pieces. Raises DriverError, safe to retry, when it breaks or ends before `length`."""
    done = 0
    while True:
        try:
            chunk = stream.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise DriverError(f"the transfer broke after {done} bytes: {error}", retry_safe=True) from error
        if not chunk:
            break
        done += len(chunk)
        yield chunk
    if length is not None and done < length:
        raise DriverError(f"the transfer ended after {done} of {length} bytes", retry_safe=True)


def checked(data: Iterable[bytes], expected: Expected) -> Iterator[bytes]:
    """Passes `data` on and raises DriverError at its end when it is not what was expected."""
    digests = {
        name: (hashlib.new(name, usedforsecurity=False), wanted.strip().lower())
        for name, wanted in (("md5", expected.md5), ("sha1", expected.sha1))
        if wanted.strip()
    }
    for chunk in data:
        for digest, _ in digests.values():
            digest.update(chunk)
        yield chunk
    for name, (digest, wanted) in digests.items():
        if digest.hexdigest() != wanted:
            raise DriverError(f"the {name.upper()} of the image is {digest.hexdigest()}, and not {wanted}")


def bandwidth(text: str) -> int:
    """LIMIT_TRANSFER_BW as bytes a second: a number with K, M or G; 0 is no limit."""
    number = text.strip().upper()
    suffix = number[-1:] if number[-1:] in ("K", "M", "G") else ""
    try:
        return int(number.removesuffix(suffix) or 0) * _SUFFIXES[suffix]
    except ValueError:
        raise DriverError(f"LIMIT_TRANSFER_BW is {text!r}; a number with K, M or G was expected") from None


def throttled(
    data: Iterable[bytes],
    rate: int,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[bytes]:
    """Passes `data` on at `rate` bytes a second on average, or at once when that is 0."""
    start, done = clock(), 0
    for chunk in data:
        yield chunk
        done += len(chunk)
        early = start + done / rate - clock() if rate else 0
        if early > 0:
            sleep(early)


class _Decompressor(Protocol):
    """What the standard library's three decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(memlimit=_DECOMPRESSOR_MEMORY)


class _Zstd:
    """The library gives all that its input holds at once, up to 128 KB for 4 bytes: it is given a little at a
    time."""

    _SLICE = 256

    def __init__(self) -> None:
        try:
            import zstandard
        except ImportError:
            raise DriverError(
                "images compressed with zstd need the Python library zstandard: pip install 'merope[zstd]'"
            ) from None
        self._failure = zstandard.ZstdError
        self._inner = zstandard.ZstdDecompressor(max_window_size=_DECOMPRESSOR_MEMORY // 2).decompressobj()
        self.unconsumed_tail = b""
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        pieces, got, offset = [], 0, 0
        while offset < len(data) and got < max_length and not self.eof:
            try:
                piece = self._inner.decompress(data[offset : offset + self._SLICE])
            except self._failure as error:
                raise OSError(str(error)) from error
            offset = min(offset + self._SLICE, len(data))
            pieces.append(piece)
            got += len(piece)
        rest = data[offset:]
        self.unused_data = self._inner.unused_data + rest if self.eof else b""
        self.unconsumed_tail = b"" if self.eof else rest
        return b"".join(pieces)


def _gzip() -> _Decompressor:
    return zlib.decompressobj(wbits=31)


_DECOMPRESSORS: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b\x08": _gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": _xz,
    b"\x28\xb5\x2f\xfd": _Zstd,
}
_MAGIC_LENGTH = max(map(len, _DECOMPRESSORS))


def _decompressor(start: bytes) -> Callable[[], _Decompressor] | None:
    return next((make for magic, make in _DECOMPRESSORS.items() if start.startswith(magic)), None)


def is_compressed(start: bytes) -> bool:
    """Whether a file that begins with `start` is compressed with gzip, bzip2, xz or zstd."""
    return _decompressor(start) is not None


def decompressed(data: Iterable[bytes]) -> Iterator[bytes]:
    """Passes `data` on, decompressed when it is gzip, bzip2, xz or zstd, in pieces of bounded size.

    Several compressed streams may follow each other; what follows them and is none is padding and left
    out. Raises DriverError when the data is damaged or cut off.
    """
    iterator = iter(data)
    start = b""
    for chunk in iterator:
        start += chunk
        if len(start) >= _MAGIC_LENGTH:
            break
    make = _decompressor(start)
    if make is None:
        if start:
            yield start
        yield from iterator
        return
    try:
        yield from _inflated(make, start, iterator)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise DriverError(f"the compressed image is damaged: {error}") from error


def _inflated(make: Callable[[], _Decompressor], data: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    current = make()
    while True:
        yield from _pieces(current, data)
        if not current.eof:
            data = next(rest, b"")
            if not data:
                raise DriverError("the compressed image is cut off")
            continue
        data = current.unused_data
        while len(data) < _MAGIC_LENGTH and (more := next(rest, b"")):
            data += more
        if _decompressor(data) is not make:
            # To the end, where the checksum of the whole is compared.
            for _ in rest:
                continue
            return
        current = make()


def _pieces(current: _Decompressor, data: bytes) -> Iterator[bytes]:
    """What `data` gives, at most CHUNK bytes at a time, so that a small bomb does not fill the memory."""
    while True:
        piece = current.decompress(data, CHUNK)
        if piece:
            yield piece
        data = getattr(current, "unconsumed_tail", b"")
        if current.eof or (not data and (len(piece) < CHUNK)):
            return
