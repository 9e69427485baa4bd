"""Starts many real guests on the three hosts of a test bed at once.

    python bench/many_guests.py [GUESTS]      (root; the bed is made and removed)

Printed are when the first and the last of them ran, and served its page over the network of the hosts; how
many failed; and the CPU that the core took meanwhile. Where guests are emulated, their boots share the
machine's processors and take most of the time: RUNNING is what the cloud needs.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e.cloud import RUNNING, BedCloud, BedVm  # noqa: E402
from tests.e2e.making import running_cloud, temporary_bed  # noqa: E402

from merope.daemon import control  # noqa: E402
from merope.model.states import LcmState, VmState  # noqa: E402

_PATIENCE = 1200.0
_LOOK_SECONDS = 0.5


def measure(cloud: BedCloud, guests: int) -> None:
    pid = _core(cloud)
    used, began = _cpu(pid), time.monotonic()
    with ThreadPoolExecutor(16) as threads:
        vms = list(threads.map(lambda _: BedVm.make(cloud), range(guests)))
        asked = time.monotonic() - began
        running = _until_running(cloud, [vm.id for vm in vms], began)
        core = _cpu(pid) - used
        failed = guests - len(running)
        pages = sorted(threads.map(lambda vm: _served(vm, began), [vm for vm in vms if vm.id in running]))
    hosts = Counter(vm.host for vm in vms)
    silent = pages.count(_PATIENCE)
    times = sorted(running.values())
    print(f"{guests} asked for in {asked:.1f} s, {failed} failed, {silent} without a page; {dict(hosts)}")
    if times:
        print(f"RUNNING: first {times[0]:.1f} s, last {times[-1]:.1f} s")
        print(f"page: first {pages[0]:.1f} s, last {pages[-1]:.1f} s")
    print(f"core until all ran: {core:.1f} s of CPU, {core / max(times, default=1.0) * 100:.0f} % of one")


def _until_running(cloud: BedCloud, vms: list[int], began: float) -> dict[int, float]:
    """When each was seen to run; those that failed are left out."""
    seen: dict[int, float] = {}
    left = set(vms)
    with cloud.client as client:
        while left and time.monotonic() - began < _PATIENCE:
            pool = client.document("one.vmpool.info", -2, min(vms), max(vms), -1)
            now = time.monotonic() - began
            for vm in pool.iterfind("VM"):
                oid = int(vm.findtext("ID", "-1"))
                state = (
                    VmState(int(vm.findtext("STATE", "-1"))),
                    LcmState(int(vm.findtext("LCM_STATE", "-1"))),
                )
                if oid in left and (state == RUNNING or "FAILURE" in state[1].name):
                    left.remove(oid)
                    if state == RUNNING:
                        seen[oid] = now
            time.sleep(_LOOK_SECONDS)
    return seen


def _served(vm: BedVm, began: float) -> float:
    guest = vm.guest
    while time.monotonic() - began < _PATIENCE:
        if guest.serves():
            return time.monotonic() - began
        time.sleep(_LOOK_SECONDS)
    return _PATIENCE


def _core(cloud: BedCloud) -> int:
    rows = control.ask(cloud.layout, "status")["services"]
    return next(int(row["pid"]) for row in rows if row["name"] == "core")


def _cpu(pid: int) -> float:
    """Seconds of user and system time of a process and the children that have ended."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    guests = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with temporary_bed(3) as bed:
        home = Path(tempfile.mkdtemp(prefix="mrp-"))
        with running_cloud(BedCloud(bed, home, bed.shared / "datastores"), "qcow2") as cloud:
            measure(cloud, guests)


if __name__ == "__main__":
    main()
