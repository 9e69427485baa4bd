"""What a cloud of many VMs and hosts costs: rates as it grows, memory for each VM, lists, and how long a list
keeps other answers waiting. Any endpoint; memory is told where `--pid` names the core's process.

    scale.py --vms 10000 --hosts 2500 --pid 4711
"""

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path

from merope.client import Client, find_cloud
from merope.client.transport import HttpTransport
from merope.client.wire import encode_call

KEY = "AAAAB3NzaC1yc2EAAAADAQABAAABAQ" + "k9" * 170
#: About 4 KB when it is stored: what a VM of a production cloud has.
VM = (
    """NAME="scale-{0}"
CPU="0.1"
VCPU="2"
MEMORY="64"
DISK=[TYPE="fs",FORMAT="raw",SIZE="10",DEV_PREFIX="vd",TARGET="vda"]
OS=[ARCH="x86_64",BOOT="disk0",MACHINE="pc-q35-2.11",KERNEL_CMD="console=ttyS0 ro"]
FEATURES=[ACPI="yes",APIC="yes",PAE="yes",LOCALTIME="no",GUEST_AGENT="yes",VIRTIO_SCSI_QUEUES="4"]
GRAPHICS=[LISTEN="0.0.0.0",TYPE="VNC",KEYMAP="en-us"]
INPUT=[BUS="usb",TYPE="tablet"]
CPU_MODEL=[MODEL="host-passthrough"]
CONTEXT=[NETWORK="YES",SSH_PUBLIC_KEY="ssh-rsa """
    + KEY
    + """ ops@example.org",USERNAME="root",TIMEZONE="UTC",
  START_SCRIPT_BASE64=\""""
    + "IyEvYmluL3NoCmFwdC1nZXQgdXBncmFkZQo=" * 17
    + """",DNS="192.0.2.53",SET_HOSTNAME="scale-{0}"]
USER_INPUTS=[DB_NAME="M|text|Name of the database| |app",SIZE="O|list|Size|s,m,l|m"]
DB_NAME="app"
DESCRIPTION="Application server, second tier; ticket OPS-{0}"
LABELS="prod,web"
COST_CENTER="CC-4711"
BACKUP_POLICY=[KEEP="14",WINDOW="02:00-04:00",TARGET="s3://backup/prod"]
"""
)

ROUNDS = 5


def at_once(
    call: Callable[[Client, int], object], client: Callable[[], Client], count: int, threads: int
) -> float:
    """Calls a second that `threads` connections get through."""

    def run(numbers: range) -> None:
        own = client()
        for number in numbers:
            call(own, number)

    workers = [threading.Thread(target=run, args=(range(n, count, threads),)) for n in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return count / (time.perf_counter() - began)


def resident(pid: int | None) -> int:
    """Bytes of memory that the process holds; 0 when it is not known."""
    if pid is None:
        return 0
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(field.split()[1]) * 1024 for field in fields if field.startswith("VmRSS"))


def lists(endpoint: str, auth: str, method: str, arguments: tuple[int | str, ...], told: Connection) -> None:
    """Asks for a pool a few times, parses nothing, and tells (milliseconds, bytes) of each."""
    transport = HttpTransport(endpoint, 600)
    request = encode_call(method, (auth, *arguments))
    for _ in range(ROUNDS):
        began = time.perf_counter()
        size = len(transport.send(request, repeatable=True))
        told.send(((time.perf_counter() - began) * 1000, size))
    told.send(None)


def listed(client: Client, method: str, *arguments: int | str) -> dict[str, float]:
    """How long a list takes, and the longest that another client waits for a small answer meanwhile.

    The list is read by a process of its own: two threads of one would wait for each other.
    """
    here, there = Pipe()
    reader = Process(target=lists, args=(client.cloud.endpoint, client.cloud.auth, method, arguments, there))
    reader.start()
    times, waits, size = [], [], 0
    while True:
        began = time.perf_counter()
        client.text("one.system.version")
        waits.append((time.perf_counter() - began) * 1000)
        if here.poll():
            told = here.recv()
            if told is None:
                break
            times.append(told[0])
            size = told[1]
    reader.join()
    waits.sort()
    return {
        "first_ms": round(times[0], 1),
        "ms": round(statistics.median(times), 1),
        "mb": round(size / 1e6, 1),
        "others_longest_ms": round(waits[-1], 1),
        "others_p99_ms": round(waits[len(waits) * 99 // 100], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--endpoint", default=os.environ.get("ONE_XMLRPC"))
    parser.add_argument("--vms", type=int, default=10_000)
    parser.add_argument("--hosts", type=int, default=2_500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pid", type=int, help="process of the core, for its memory")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cloud = find_cloud(given.endpoint)

    def make() -> Client:
        return Client(cloud.endpoint, cloud.auth, timeout=600)

    client, stamp = make(), time.time_ns()
    figures: dict[str, object] = {"vms": given.vms, "hosts": given.hosts}
    empty = resident(given.pid)
    quarter = max(given.vms // 4, 1)
    figures["allocate_per_s_by_quarter"] = [
        round(
            at_once(
                lambda own, n: own.number("one.vm.allocate", VM.format(n), True), make, quarter, given.clients
            )
        )
        for _ in range(4)
    ]
    made = 4 * quarter
    figures["kb_per_vm_allocated"] = round((resident(given.pid) - empty) / 1024 / made, 1)
    if given.hosts:
        figures["host_allocate_per_s"] = round(
            at_once(
                lambda own, n: own.number("one.host.allocate", f"scale-{stamp}-{n}", "dummy", "dummy", -1),
                make,
                given.hosts,
                given.clients,
            )
        )
    before_lists = resident(given.pid)
    figures["vmpool.info"] = listed(client, "one.vmpool.info", -2, -1, -1, -1, "")
    figures["kb_per_vm_listed"] = round((resident(given.pid) - before_lists) / 1024 / made, 1)
    figures["vmpool.infoextended"] = listed(client, "one.vmpool.infoextended", -2, -1, -1, -1, "")
    figures["kb_per_vm_listed_whole"] = round((resident(given.pid) - before_lists) / 1024 / made, 1)
    figures["hostpool.info"] = listed(client, "one.hostpool.info")
    if given.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
