"""HTTP replies, as they are written to a connection."""

import time
import zlib
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

from merope import __version__

XML = b"text/xml; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS = {status: f"{status.value} {status.phrase}".encode("ascii") for status in HTTPStatus}
_OK = b"HTTP/1.1 200 OK\r\nContent-type: " + XML + b"\r\nContent-length: %d\r\n%b%b"
_HEAD = b"HTTP/1.1 %b\r\nContent-type: %b\r\nContent-length: %d\r\n%b%b"
_GZIP = b"Content-encoding: gzip\r\n"
CLOSE = b"Connection: close\r\n"
KEEP = b"Connection: keep-alive\r\n"


class Heads:
    """Writes the heads of replies; the date in them is that of the last `refresh`."""

    def __init__(self) -> None:
        self.end = b""
        self.refresh()

    def refresh(self) -> None:
        """Take the present time; call it about once a second."""
        # "UTC" where RFC 9110 has "GMT": as 5.12 writes it.
        date = formatdate(time.time(), usegmt=True).replace("GMT", "UTC")
        self.end = f"Date: {date}\r\nServer: Merope/{__version__}\r\n\r\n".encode("ascii")

    def call(self, length: int, connection: bytes, gzip: bool) -> bytes:
        """Give the head of the reply to a call; `connection` is CLOSE, KEEP or empty."""
        return _OK % (length, _GZIP + connection if gzip else connection, self.end)

    def page(self, status: HTTPStatus, kind: bytes, length: int, lines: bytes) -> bytes:
        """Give any other head; `lines` are further header lines, each with its end."""
        return _HEAD % (_STATUS[status], kind, length, lines, self.end)


def compress(pieces: Sequence[bytes], level: int) -> bytes:
    """Give the pieces as one gzip member."""
    deflater = zlib.compressobj(level, wbits=31)
    return b"".join([*(deflater.compress(piece) for piece in pieces), deflater.flush()])
