"""How long many VMs that wait need until all have a host: door, core, scheduler and engine together.

The VMs wait, with requirements and a rank, in a cloud whose hosts are disabled; the clock starts when the
hosts are enabled. Prints a table, or with --json one object; what it made is taken away again. With `--pid`
it tells the memory and the CPU time of the core's process.

    dispatch.py --vms 5000 --hosts 500 --pid 4711
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from merope.client import Client, find_cloud

VM = """NAME="dispatch-{0}"
CPU="0.0{1}"
MEMORY="{2}"
SCHED_REQUIREMENTS="HYPERVISOR = \\"dummy\\" & FREE_CPU > 10 & RUNNING_VMS < 1000"
SCHED_RANK="FREE_MEMORY"
"""
ANY, PENDING, ACTIVE = -1, 1, 3
RUNNING = "<LCM_STATE>3</LCM_STATE>"
ENABLED, DISABLED = 0, 1


def vm(number: int) -> str:
    """Ten different capacities."""
    return VM.format(number, 1 + number % 5, 1 + number % 2)


def listed(client: Client, state: int) -> str:
    return client.text("one.vmpool.info", -2, -1, -1, state, "")


def until(reached: Callable[[], bool], began: float, seconds: float) -> float:
    """Seconds from `began` until `reached`."""
    while time.perf_counter() - began < seconds:
        if reached():
            return time.perf_counter() - began
        time.sleep(0.02)
    raise SystemExit(f"the cloud did not get there within {seconds:.0f} s")


def used(pid: int | None) -> tuple[float, int]:
    """Seconds of CPU and bytes of memory (at their most) of the process; zeros when it is not known."""
    if pid is None:
        return 0.0, 0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak


def alone(client: Client, rounds: int) -> tuple[float, list[int]]:
    """Milliseconds from the request to RUNNING of one VM in a cloud where nothing else waits; the VMs."""
    times, ids = [], []
    for number in range(rounds):
        began = time.perf_counter()
        ids.append(client.number("one.vm.allocate", vm(number), False))
        while RUNNING not in client.text("one.vm.info", ids[-1], False):
            if time.perf_counter() - began > 60:
                raise SystemExit(f"VM {ids[-1]} did not come to RUNNING within 60 s")
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), ids


def enable(client: Client, hosts: list[int]) -> None:
    for host in hosts:
        client.number("one.host.status", host, ENABLED)


def measure(client: Client, given: argparse.Namespace) -> dict[str, float]:
    stamp = time.time_ns()
    hosts = [
        client.number("one.host.allocate", f"dispatch-{stamp}-{n}", "dummy", "dummy", -1)
        for n in range(given.hosts)
    ]
    until(lambda: listed_hosts(client, "<STATE>2</STATE>") >= given.hosts, time.perf_counter(), 300)
    single, ids = alone(client, given.rounds)
    for host in hosts:
        client.number("one.host.status", host, DISABLED)
    try:
        began = time.perf_counter()
        ids += [client.number("one.vm.allocate", vm(n), False) for n in range(given.vms)]
        allocated = given.vms / (time.perf_counter() - began)
        if (waiting := listed(client, PENDING).count("<VM>")) < given.vms:
            raise SystemExit(f"only {waiting} VMs wait: the cloud has other hosts that are enabled")
        cpu, before = used(given.pid)
        began = time.perf_counter()
        enabling = Thread(target=enable, args=(Client(client.cloud.endpoint, client.cloud.auth), hosts))
        enabling.start()
        first = until(lambda: listed(client, ACTIVE).count("<VM>") > given.rounds, began, 900)
        enabling.join()
        enabled = time.perf_counter() - began
        dispatched = until(lambda: "<VM>" not in listed(client, PENDING), began, 900)
        running = until(lambda: listed(client, ACTIVE).count(RUNNING) >= len(ids), began, 900)
        spent, peak = used(given.pid)
    finally:
        for number in ids:
            client.number("one.vm.action", "terminate-hard", number)
        until(lambda: "<VM>" not in listed(client, ANY), time.perf_counter(), 300)
        for host in hosts:
            client.number("one.host.delete", host)
    return {
        "one_vm_to_running_ms": round(single, 1),
        "allocated_while_they_wait_per_s": round(allocated),
        "hosts_enabled_s": round(enabled, 2),
        "first_dispatched_s": round(first, 2),
        "all_dispatched_s": round(dispatched, 2),
        "all_running_s": round(running, 2),
        "core_cpu_s": round(spent - cpu, 2),
        "core_peak_mb": round(peak / 1e6, 1),
        "core_mb_while_waiting": round(before / 1e6, 1),
    }


def listed_hosts(client: Client, state: str) -> int:
    return client.text("one.hostpool.info").count(state)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--endpoint", default=os.environ.get("ONE_XMLRPC"))
    parser.add_argument("--vms", type=int, default=5000)
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=11, help="VMs that are started alone first")
    parser.add_argument("--pid", type=int, help="process of the core, for its memory and CPU time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cloud = find_cloud(given.endpoint)
    figures = measure(Client(cloud.endpoint, cloud.auth, timeout=600), given)
    if given.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):32} {value:>10}")


if __name__ == "__main__":
    main()
