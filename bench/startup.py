"""How long a fresh sandbox cloud takes to answer, how long one with a database, and what memory it has then.

Starts clouds of its own in a temporary directory, on loopback, and stops them.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ONE = [sys.executable, "-m", "merope.daemon.one"]


def start(home: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    began = time.perf_counter()
    options = ["--home", str(home), "--port", str(port), "--drivers", "dummy"]
    subprocess.run([*ONE, "start", *options], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def memory(home: Path) -> float:
    """MB of the cloud's processes, each counted with what it alone has."""
    pids = [int(path.read_text().split()[0]) for path in (home / "run").glob("*.pid")]
    return sum(proportional(pid) for pid in pids)


def proportional(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def stop(home: Path) -> None:
    subprocess.run([*ONE, "stop", "--home", str(home)], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    fresh, again, used = [], [], []
    for _ in range(given.runs):
        with tempfile.TemporaryDirectory() as place:
            home = Path(place) / "home"
            fresh.append(start(home))
            used.append(memory(home))
            stop(home)
            again.append(start(home))
            stop(home)
    figures = {
        "fresh_database_s": round(statistics.median(fresh), 3),
        "existing_database_s": round(statistics.median(again), 3),
        "memory_mb": round(statistics.median(used), 1),
    }
    if given.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):24} {value:>10}")


if __name__ == "__main__":
    main()
