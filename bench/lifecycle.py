"""How fast VMs are allocated and come to run: one after the other, and many at once. Any endpoint.

Prints a table, or with --json one object. The cloud needs hosts whose driver answers at once (a sandbox
has; `--hosts` adds some to it). What it made is terminated again.
"""

import argparse
import json
import os
import re
import statistics
import threading
import time
from collections.abc import Callable

from merope.client import Client, find_cloud

VM = 'NAME="bench-{0}"\nCPU="0.01"\nMEMORY="1"\n'
RUNNING = "<LCM_STATE>3</LCM_STATE>"


def until(wanted: Callable[[], bool], seconds: float) -> float:
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        if wanted():
            return time.perf_counter() - began
    raise SystemExit(f"the cloud did not get there within {seconds:.0f} s")


def allocate(client: Client, name: object, *, hold: bool) -> int:
    return client.number("one.vm.allocate", VM.format(name), hold)


def one_by_one(client: Client, rounds: int) -> tuple[list[float], list[int]]:
    """Seconds from the request to RUNNING, each on an idle cloud."""
    times, ids = [], []
    for number in range(rounds):
        began = time.perf_counter()
        vm = allocate(client, number, hold=False)
        until(lambda vm=vm: RUNNING in client.text("one.vm.info", vm, False), 60)
        times.append(time.perf_counter() - began)
        ids.append(vm)
    return times, ids


def at_once(make: Callable[[], Client], count: int, clients: int, *, hold: bool) -> tuple[float, list[int]]:
    """Seconds until `clients` connections have allocated `count` VMs."""
    ids: list[int] = []

    def work(numbers: range) -> None:
        client = make()
        ids.extend(allocate(client, f"b{number}", hold=hold) for number in numbers)

    threads = [threading.Thread(target=work, args=(range(n, count, clients),)) for n in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, ids


def running(client: Client) -> int:
    return len(re.findall(RUNNING, client.text("one.vmpool.info", -2, -1, -1, 3, "")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default=os.environ.get("ONE_XMLRPC"))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--vms", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cloud = find_cloud(given.endpoint)

    def make() -> Client:
        return Client(cloud.endpoint, cloud.auth)

    client = make()
    stamp = time.time_ns()
    hosts = [
        client.number("one.host.allocate", f"bench-{stamp}-{n}", "dummy", "dummy", -1)
        for n in range(given.hosts)
    ]
    until(lambda: all("<STATE>2</STATE>" in client.text("one.host.info", h, False) for h in hosts), 60)
    times, ids = one_by_one(client, given.rounds)
    before = running(client)
    began = time.perf_counter()
    allocated, more = at_once(make, given.vms, given.clients, hold=False)
    until(lambda: running(client) - before >= given.vms, 600)
    whole = time.perf_counter() - began
    held, rest = at_once(make, given.vms, given.clients, hold=True)
    for vm in ids + more + rest:
        client.number("one.vm.action", "terminate-hard", vm)
    figures = {
        "allocate_to_running_ms": round(statistics.median(times) * 1000, 1),
        "allocated_while_placing_per_s": round(given.vms / allocated, 1),
        "running_per_s": round(given.vms / whole, 1),
        "allocated_on_hold_per_s": round(given.vms / held, 1),
    }
    if given.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):34} {value:>10}")


if __name__ == "__main__":
    main()
