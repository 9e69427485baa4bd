"""For all tests: which of them show what the API's methods do (method_tests)."""

import os
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests import method_tests
from tests.helper_vm import plugin as helper_vm_tests

# How long an example takes says nothing on a machine that others use too. A developer's runs search on with
# examples of their own; where a change is judged, the same tests say the same twice.
settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("house")

# Clouds of tests are a core alone, but for those that say otherwise.
os.environ.setdefault("ONE_SERVICES", "core")

_PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
_WORKER = "method_calls"
_passed: set[str] = set()
_failed: set[str] = set()
_stale: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    # A run that is told to end (`timeout`, a CI's limit) takes down what its fixtures made, as after Ctrl-C.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    helper_vm_tests.register(config)
    config.addinivalue_line(
        "markers",
        "runs(driver, *operations, where): operations of a driver (kind/name) that a test shows, and whether "
        "here, in the helper VM or against a stand-in",
    )
    config.addinivalue_line("markers", "e2e: takes long, or a bed of hosts (make e2e)")
    config.addinivalue_line("markers", "quick: of the tests marked e2e, one that runs with all tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--e2e"):
        return
    slow = [item for item in items if item.get_closest_marker("e2e") and not item.get_closest_marker("quick")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-method-tests",
        action="store_true",
        help="write tests/methods.tsv from what the tests call; to be given with tests/core and tests/api",
    )
    parser.addoption(
        "--e2e", action="store_true", help="all tests that take long too, not the quick ones of them alone"
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    test = report.nodeid.partition("[")[0]
    if not report.passed:
        _failed.add(test)
    elif report.when == "call":
        _passed.add(test)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of xdist has ended."""
    method_tests.CALLS.update(tuple(call) for call in getattr(node, "workeroutput", {}).get(_WORKER, ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_WORKER] = sorted(method_tests.CALLS)
        return
    known = method_tests.read()
    if session.config.getoption("--write-method-tests"):
        _write(known)
        return
    _stale.extend(method_tests.stale(known, method_tests.CALLS, _passed - _failed))
    if _stale and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _write(known: dict[str, method_tests.Shown]) -> None:
    import merope.core.commands  # noqa: F401 - declares the methods
    from merope.core.methods import METHODS

    release = tomllib.loads(_PYPROJECT.read_text())["project"]["version"]
    calls = {call for call in method_tests.CALLS if call[0] in _passed - _failed}
    method_tests.write(method_tests.updated(known, calls, METHODS, release))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _stale:
        terminalreporter.section("tests/methods.tsv is not true any more (make method-tests)", red=True)
        for sentence in _stale:
            terminalreporter.line(sentence)
