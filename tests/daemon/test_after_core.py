"""A service beside the core begins when the core listens, with the options that it was given."""

import socket
import sys
import threading
import types

import pytest

from merope.daemon import after_core
from merope.daemon.service import SERVICES, Options


def test_it_waits_for_the_core_and_passes_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    module = types.ModuleType("merope.daemon.oneflow")
    module.main = lambda argv: seen.append(argv) or 7  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "merope.daemon.oneflow", module)
    with socket.socket() as core:
        core.bind(("127.0.0.1", 0))
        options = Options("/h", core.getsockname()[1], "127.0.0.1", oneflow_port=5).arguments()
        status: list[int] = []
        waiting = threading.Thread(target=lambda: status.append(after_core.main(["oneflow", *options])))
        waiting.start()
        assert seen == []
        core.listen()
        waiting.join(20)
    assert (seen, status) == ([options], [7])


def test_services_beside_the_core_begin_so() -> None:
    beside = [service for service in SERVICES if service.beside]
    assert [service.command[-2:] for service in beside] == [
        ("merope.daemon.after_core", service.name) for service in beside
    ]
