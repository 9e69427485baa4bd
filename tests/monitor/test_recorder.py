"""What is kept of measurements, and how often."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from merope.model.change import Cell
from merope.monitor.recorder import Recorder


class Rows:
    """Remembers what is written."""

    def __init__(self) -> None:
        self.written: dict[str, list[tuple[Cell, ...]]] = {}
        self.expired: dict[str, int] = {}

    def write_rows(self, table: str, rows: Iterable[Sequence[Cell]]) -> None:
        self.written.setdefault(table, []).extend(tuple(row) for row in rows)

    def expire(self, table: str, before: int) -> None:
        self.expired[table] = before


def kept(vm_every: int, vm_seconds: int = 3600) -> Rows:
    """Of a host and two VMs that are measured every 30 seconds for two minutes."""
    rows = Rows()
    with ThreadPoolExecutor(1) as executor:
        recorder = Recorder(rows, executor, host_seconds=3600, vm_seconds=vm_seconds, vm_every=vm_every)
        for now in range(1000, 1121, 30):
            recorder.record("host_pool", 0, now, "h")
            for vm_id in (7, 8):
                recorder.record("vm_pool", vm_id, now, "v")
        recorder.flush()
    return rows


@pytest.mark.parametrize(
    ("vm_every", "times"),
    [
        pytest.param(0, [1000, 1030, 1060, 1090, 1120], id="0 keeps each"),
        pytest.param(60, [1000, 1060, 1120], id="others are the least seconds between two"),
        pytest.param(45, [1000, 1060, 1120], id="also where measurements do not come at multiples"),
    ],
)
def test_measurements_of_a_vm_are_kept_at_intervals(vm_every: int, times: list[int]) -> None:
    written = kept(vm_every).written["vm_monitoring"]
    assert [row[1] for row in written if row[0] == 7] == times
    assert [row[1] for row in written if row[0] == 8] == times


@pytest.mark.parametrize(("vm_every", "vm_seconds"), [(-1, 3600), (0, 0)])
def test_none_of_a_vm_is_kept_where_none_is_wanted(vm_every: int, vm_seconds: int) -> None:
    rows = kept(vm_every, vm_seconds)
    assert "vm_monitoring" not in rows.written
    assert len(rows.written["host_monitoring"]) == 5


def test_what_is_older_than_its_time_goes() -> None:
    assert kept(0).expired == {"host_monitoring": 1120 - 3600, "vm_monitoring": 1120 - 3600}
