"""Moves a guest that serves HTTP from host to host and counts what its client notices.

    python bench/live_migration.py [MOVES] [--own]      (root; two hosts of a test bed, made and removed)

A client asks again and again, each time on a new connection with a limit of 100 ms; printed are the requests
that had no answer and the longest time without one, for each move and beside it for as long a time of rest,
and their medians. The disk is on storage that both hosts share (TM_MAD qcow2), with `--own` on a storage of
each host's own (TM_MAD ssh), so that it moves too.
"""

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e.cloud import RUNNING, BedCloud, BedVm  # noqa: E402
from tests.e2e.making import running_cloud, temporary_bed  # noqa: E402
from tests.real.machine import Guest, eventually  # noqa: E402


@dataclass(frozen=True)
class Noticed:
    """What a client noticed; `gap` is the longest time between two answers, in seconds."""

    asked: int
    lost: int
    gap: float

    def __str__(self) -> str:
        return f"{self.lost} of {self.asked} requests lost, longest gap {self.gap * 1000:.0f} ms"


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

    def end(self) -> Noticed:
        self.stopped = True
        self.join()
        good = [when for when, answered in self.asked if answered]
        longest = max((after - before for before, after in pairwise(good)), default=0.0)
        return Noticed(len(self.asked), len(self.asked) - len(good), longest)


def move(vm: BedVm) -> tuple[float, Noticed, Noticed]:
    """To the other host: the seconds that took, what was noticed meanwhile, and then for as long a rest."""
    target = "node2" if vm.host == "node1" else "node1"
    client = Client(vm.guest)
    client.start()
    began = time.monotonic()
    vm.migrate(target, live=True)
    eventually(f"it is on {target}", lambda: vm.host == target)
    vm.wait_for(RUNNING)
    took = time.monotonic() - began
    moved = client.end()
    rest = Client(vm.guest)
    rest.start()
    time.sleep(took)
    at_rest = rest.end()
    print(f"move to {target}: {took:.1f} s, {moved}; at rest: {at_rest}", flush=True)
    return took, moved, at_rest


def middle(all_of_them: list[Noticed]) -> Noticed:
    """The median of each of their numbers."""
    asked, lost = median(it.asked for it in all_of_them), median(it.lost for it in all_of_them)
    return Noticed(round(asked), round(lost), median(it.gap for it in all_of_them))


def measure(cloud: BedCloud, moves: int) -> None:
    vm = BedVm.make(cloud, "node1").run()
    boot = vm.guest.boot_id()
    found = [move(vm) for _ in range(moves)]
    assert vm.guest.boot_id() == boot
    moved, rested = [noticed for _, noticed, _ in found], [noticed for _, _, noticed in found]
    print(
        f"medians of {moves}: {median(took for took, _, _ in found):.1f} s; moved: {middle(moved)}; "
        f"at rest: {middle(rested)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="A guest that serves HTTP moves from host to host.")
    parser.add_argument("moves", nargs="?", type=int, default=3)
    parser.add_argument("--own", action="store_true", help="each host has a storage of its own")
    arguments = parser.parse_args()
    with temporary_bed(2) as bed:
        home = Path(tempfile.mkdtemp(prefix="mrp-"))
        storage, transfer = (bed.local, "ssh") if arguments.own else (bed.shared, "qcow2")
        with running_cloud(BedCloud(bed, home, storage / "datastores"), transfer) as cloud:
            measure(cloud, arguments.moves)


if __name__ == "__main__":
    main()
