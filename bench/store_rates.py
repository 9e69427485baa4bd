"""Changes per second that each kind of database makes durable, one at a time and in groups.

Starts servers of its own (`mariadb-server` and `postgresql` of the distribution) in directories that go
with them. A change is one row of a VM: 3 KB of document, 900 bytes of the short one. Prints a table, or
with --json one object. `--directory` is where the files are: a disk, not memory.
"""

import argparse
import json
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from tests.store import rows, servers

from merope.model.change import Cell, Change, Put
from merope.store.location import File, Location, open_store
from merope.store.sql import SqlStore

GROUPS = (1, 8, 64)
_BODY = "<VM>" + "x" * 3000 + "</VM>"
_SHORT = "<VM>" + "x" * 900 + "</VM>"


def change(index: int, oid: int) -> Change:
    row: dict[str, Cell] = {
        "oid": oid,
        "name": f"vm{oid}",
        "body": _BODY,
        "uid": 0,
        "gid": 0,
        "owner_u": 1,
        "group_u": 0,
    }
    row |= {"other_u": 0, "state": 3, "lcm_state": 3, "short_body": _SHORT, "search_token": "UNAME=ann"}
    return Change(index, index, (Put("vm_pool", oid, row),))


def measure(store: SqlStore, size: int, seconds: float) -> tuple[float, float]:
    """Changes per second, and the median of a group's milliseconds. Half of the rows are new."""
    index = rows.loaded_index(store)
    times: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        group = [change(index + n, (index + n) // 2) for n in range(1, size + 1)]
        start = time.perf_counter()
        store.commit(group)
        times.append(time.perf_counter() - start)
        index += size
    return len(times) * size / (time.perf_counter() - began), statistics.median(times) * 1000


def of_each(directory: Path, seconds: float) -> dict[str, dict[str, tuple[float, float]]]:
    found = {}
    for kind in ("sqlite", "mysql", "postgresql"):
        reason = "" if kind == "sqlite" else servers.missing(kind)
        if reason:
            print(f"{kind}: {reason}")
            continue
        server = None if kind == "sqlite" else servers.made(kind, directory)
        try:
            location: Location = File(directory / "one.db") if server is None else server.database()
            with closing(open_store(location)) as store:
                found[kind] = {str(size): measure(store, size, seconds) for size in GROUPS}
        finally:
            if server is not None:
                server.remove()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--directory", type=Path, help="where the databases are made")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.directory) as directory:
        Path(directory).chmod(0o755)
        found = of_each(Path(directory), args.seconds)
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"{'database':<12}" + "".join(f"{f'groups of {size}':>26}" for size in GROUPS))
    for kind, figures in found.items():
        cells = (f"{rate:,.0f}/s, {ms:.2f} ms" for rate, ms in figures.values())
        print(f"{kind:<12}" + "".join(f"{cell:>26}" for cell in cells))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
