"""Moves a guest that serves HTTP from host to host and counts what its client notices.

    python bench/live_migration.py [MOVES]      (root; two hosts of a test bed, made and removed)

A client asks again and again, each time on a new connection with a limit of 100 ms; printed are the requests
that had no answer and the longest time without one, for each move and beside it for as long a time of rest.
"""

import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e.cloud import RUNNING, BedCloud, BedVm  # noqa: E402
from tests.e2e.making import running_cloud, temporary_bed  # noqa: E402
from tests.real.machine import Guest, eventually  # noqa: E402


class Client(threading.Thread):
    """Notes when each request was answered, or None where it was not."""

    def __init__(self, guest: Guest) -> None:
        super().__init__(daemon=True)
        self.guest = guest
        self.stopped = False
        self.asked: list[tuple[float, bool]] = []

    def run(self) -> None:
        while not self.stopped:
            try:
                self.guest.get("/boot-id", timeout=0.1)
                answered = True
            except OSError:
                answered = False
            self.asked.append((time.monotonic(), answered))

    def told(self) -> str:
        self.stopped = True
        self.join()
        good = [when for when, answered in self.asked if answered]
        longest = max((after - before for before, after in pairwise(good)), default=0.0)
        lost = len(self.asked) - len(good)
        return f"{lost} of {len(self.asked)} requests lost, longest gap {longest * 1000:.0f} ms"


def measure(cloud: BedCloud, moves: int) -> None:
    vm = BedVm.make(cloud, "node1").run()
    guest = vm.guest
    for _ in range(moves):
        target = "node2" if vm.host == "node1" else "node1"
        client = Client(guest)
        client.start()
        began = time.monotonic()
        vm.migrate(target, live=True)
        eventually(f"it is on {target}", lambda target=target: vm.host == target)
        vm.wait_for(RUNNING)
        took = time.monotonic() - began
        moved = client.told()
        rest = Client(guest)
        rest.start()
        time.sleep(took)
        print(f"move to {target}: {took:.1f} s, {moved}; at rest: {rest.told()}", flush=True)


def main() -> None:
    moves = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with temporary_bed(2) as bed:
        home = Path(tempfile.mkdtemp(prefix="mrp-"))
        with running_cloud(BedCloud(bed, home, bed.shared / "datastores"), "qcow2") as cloud:
            measure(cloud, moves)


if __name__ == "__main__":
    main()
