"""Runs tests that are marked `helper_vm` in the helper VM and reports each as if it had run here.

All of a run's go into one machine, at the first of them. Where the machine cannot be had they are skipped
with the reason. Inside of it this does nothing but write the reports down.
"""

import json
from pathlib import Path
from typing import Literal

import pytest
from tests import helper_vm
from tests.helper_vm.machine import HelperVMError

MARKER = "helper_vm"
_GROUP = "helper_vm"
_REPORTS = Path("/run/helper-vm/reports")
_TIMEOUT, _LONG = 600.0, 3600.0


def register(config: pytest.Config) -> None:
    """To be called by the hook `pytest_configure`."""
    config.addinivalue_line(
        "markers", f"{MARKER}: needs a kernel with more than this machine's; runs in tests/helper_vm"
    )
    plugin = Inside(config) if helper_vm.INSIDE else Outside(config)
    config.pluginmanager.register(plugin, "merope-helper-vm")


class Inside:
    """Writes the reports of tests where the machine outside finds them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with _REPORTS.open("a") as file:
            file.write(json.dumps(data) + "\n")


class Outside:
    """Has the marked tests of a run done in the machine."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reports: dict[str, list[pytest.TestReport]] | None = None
        self._failure = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if item.get_closest_marker(MARKER):
                # xdist gives all of a group to one worker; so there is one machine.
                item.add_marker(pytest.mark.xdist_group(_GROUP))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if not item.get_closest_marker(MARKER):
            return None
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports_of(item):
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        # What the test before left standing for its neighbour, this one, is not the next one's.
        item.session._setupstate.teardown_exact(nextitem)
        return True

    def _reports_of(self, item: pytest.Item) -> list[pytest.TestReport]:
        reason = helper_vm.why_not()
        if reason:
            return [_made(item, "skipped", f"the helper VM cannot run here: {reason}")]
        if self._reports is None:
            self._reports = self._run(item.session.items)
        found = self._reports.get(item.nodeid.partition("@")[0], [])
        for report in found:
            report.nodeid = item.nodeid
        if not found:
            # Said once in full: all tests of a machine that did not start have the same.
            found, self._failure = [_made(item, "failed", self._failure)], self._failure.partition("\n")[0]
        return found

    def _run(self, items: list[pytest.Item]) -> dict[str, list[pytest.TestReport]]:
        # With xdist a test's id ends with its group.
        wanted = sorted({i.nodeid.partition("@")[0] for i in items if i.get_closest_marker(MARKER)})
        options = ["--e2e"] if self._config.getoption("--e2e") else []
        try:
            finished = helper_vm.run_pytest(
                [*options, *wanted], timeout=_LONG if options else _TIMEOUT, keep=_REPORTS.name
            )
        except HelperVMError as error:
            self._failure = f"the helper VM: {error}"
            return {}
        self._failure = f"the helper VM did not report this test; its output:\n{finished.output[-4000:]}"
        return self._read(finished.kept)

    def _read(self, lines: str) -> dict[str, list[pytest.TestReport]]:
        reports: dict[str, list[pytest.TestReport]] = {}
        for line in lines.splitlines():
            hook = self._config.hook
            report = hook.pytest_report_from_serializable(config=self._config, data=json.loads(line))
            if isinstance(report, pytest.TestReport):
                reports.setdefault(report.nodeid, []).append(report)
        return reports


def _made(item: pytest.Item, outcome: Literal["failed", "skipped"], reason: str) -> pytest.TestReport:
    """A report on a test that was not run."""
    path, line, _ = item.location
    shown = (path, line or 0, f"Skipped: {reason}") if outcome == "skipped" else reason
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome=outcome,
        longrepr=shown,
        when="call" if outcome == "failed" else "setup",
    )
