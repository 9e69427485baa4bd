"""Which services beside the core are started, and where."""

import socket
from pathlib import Path

import pytest

from merope.daemon import beside
from merope.daemon.layout import Layout
from merope.daemon.service import SERVICES, Options
from merope.daemon.start import _again

FLOW = next(service for service in SERVICES if service.name == "oneflow")


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("ONE_SERVICES", "core,oneflow")
    return Layout.at(tmp_path)


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def test_the_command_line_comes_before_the_file(layout: Layout) -> None:
    stated, wanted = free(), free()
    (layout.home / "oneflow-server.conf").write_text(f":host: 127.0.0.1\n:port: {stated} # ours\n")
    assert beside.port(FLOW, layout, None) == stated
    assert beside.port(FLOW, layout, wanted) == wanted


def test_one_that_is_not_wanted_is_not_started(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert beside.port(FLOW, layout, 0) == 0
    monkeypatch.setenv("ONE_SERVICES", "core")
    assert beside.port(FLOW, layout, free()) == 0


def test_one_whose_port_is_taken_is_left_out_and_that_is_said(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert beside.port(FLOW, layout, port) == beside.UNABLE
    assert f"oneflow is not started: port {port} at 127.0.0.1 is taken by" in capsys.readouterr().err
    options = Options("/h", 1, "127.0.0.1", oneflow_port=beside.UNABLE)
    assert not options.runs(FLOW)
    assert "--oneflow-port" not in options.arguments()


@pytest.mark.parametrize(
    ("last", "wanted", "expected"),
    [(2474, None, 2474), (0, None, 0), (-1, None, None), (-1, 5, 5), (2474, 0, 0)],
)
def test_a_restart_tries_again_what_could_not_be_started(
    last: int, wanted: int | None, expected: int | None
) -> None:
    assert _again(last, wanted) == expected
