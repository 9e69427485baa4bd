"""Begins a service beside the core when that answers: `python -m merope.daemon.after_core oneflow --home …`.

So it does not take the processor from the core while a person waits for the cloud to start. Nothing heavy may
be imported here.
"""

import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from merope.daemon.supervisor import options_from

#: Seconds until it begins all the same, and says itself what is wrong.
PATIENCE = 60.0
_POLL = 0.05


def wait(host: str, port: int) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((host.strip("[]"), port), timeout=1):
            return
        time.sleep(_POLL)


def main(argv: Sequence[str] | None = None) -> int:
    name, *rest = sys.argv[1:] if argv is None else argv
    options = options_from(rest)
    wait(options.host, options.port)
    return int(import_module(f"merope.daemon.{name}").main(rest))


if __name__ == "__main__":
    sys.exit(main())
