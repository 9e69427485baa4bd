"""The limits of the door."""

from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """How the door listens and what it bears.

    oned.conf's own defaults (MAX_CONN 15, MAX_CONN_BACKLOG 15, KEEPALIVE_MAX_CONN 30) suit a server that
    takes a thread for each connection. Here a connection costs a few KB and no thread, so the defaults below
    hold for thousands of clients; a value that an administrator wrote into oned.conf is honoured all the
    same. Sizes are bytes, times are seconds.
    """

    host: str = "127.0.0.1"
    """Address or name to listen on (LISTEN_ADDRESS); "" listens on no TCP port."""

    port: int = 2633
    """TCP port (PORT); 0 takes a free one, which `Door.start` returns."""

    unix_path: Path | None = None
    """A Unix socket to listen on as well, made with mode 0600; a dead one in its place is replaced."""

    max_connections: int = 4096
    """Connections that are served at the same time (MAX_CONN)."""

    connection_backlog: int = 1024
    """Connections beyond those that wait, accepted but unread, for a place (MAX_CONN_BACKLOG). While any
    waits, a reply ends its connection and a connection without a request keeps its place for one second only.
    A connection that finds the backlog full is answered 503."""

    listen_backlog: int = 1024
    """Connections that the kernel holds before they are accepted; also bounded by net.core.somaxconn."""

    message_size: int = 64 * MEBIBYTE
    """Largest request body, as sent and as inflated (MESSAGE_SIZE). A larger one gets a fault -509."""

    message_budget: int = 512 * MEBIBYTE
    """Sum of the large request bodies (over 64 KB) that are held at the same time, over all connections."""

    header_size: int = 32 * 1024
    """Largest request line and headers together; more is answered 431."""

    read_seconds: float = 15.0
    """Time from a request's first byte to its last (TIMEOUT), else 408. A body over 64 KB gets one second
    more for each 64 KB that arrive."""

    write_seconds: float = 60.0
    """Time for which a client may take nothing of a reply before it is cut off."""

    keepalive_seconds: float = 60.0
    """Time for which a connection is kept between two requests (KEEPALIVE_TIMEOUT)."""

    keepalive_requests: int = 0
    """Requests that one connection may make (KEEPALIVE_MAX_CONN); 0 is any number."""

    linger_seconds: float = 2.0
    """Time for which what a refused client still sends is thrown away, so that it can read the refusal."""

    gzip_size: int = 1400
    """Replies from this size are compressed for clients that ask; a smaller one fits a packet as it is."""

    gzip_level: int = 1
    """zlib's level: 1 halves the time of the usual 6 and loses a fifth in size on our documents."""

    offload_size: int = 256 * 1024
    """From this size, requests are decoded and replies are compressed in a thread beside the loop."""

    tick_seconds: float = 1.0
    """How often time-outs are looked at; they are late by up to this much."""

    health: bool = True
    """Answer GET /health."""

    metrics: bool = True
    """Answer GET /metrics (Prometheus text format 0.0.4), without authentication."""
