"""What events cost: how many are published a second to a subscriber that takes them all, how many hooks run.

    hook_rates.py --pid 4711                # a sandbox with the event bus at its usual port
    hook_rates.py --bus                     # the bus alone, in this process

Of the cloud: VMs are allocated on eight connections while a process beside has subscribed to everything
(three events for each VM: the call, and two keys of its state), then with a hook on the call that runs
`true`; the time ends when the subscriber has the last event, and when the last run is logged. `--bus`
publishes events of VMs of 4 KB as fast as it can. With `--pid`, the core's CPU for each event and run.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from urllib.parse import urlsplit
from xml.etree import ElementTree

import zmq
from creation_rates import envelope, measure
from scale import VM
from wire_rates import cpu_seconds

from merope.client import Client, find_cloud
from merope.client.wire import encode_call
from merope.core.hook_matching import as_base64
from merope.engine.cloud import Cloud
from merope.engine.event_bus import EventBus
from merope.model.bus_address import BusAddress
from merope.model.change import Change
from merope.model.event import Event
from merope.model.settings import Settings
from merope.model.state import State

#: Each VM: its call, and its state under two keys.
EVENTS = 3
SMALL = 'NAME="hooked-{0}"\nCPU="0.01"\nMEMORY="1"\n'


def subscribe(endpoint: str, count: int, told: Connection) -> None:
    """Takes `count` messages; tells when it has subscribed, and when the last one came, with their bytes."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RCVTIMEO, 20_000)
        socket.connect(endpoint)
        socket.setsockopt(zmq.SUBSCRIBE, b"EVENT")
        time.sleep(0.5)
        told.send(None)
        size = 0
        try:
            for _ in range(count):
                size += len(socket.recv_multipart()[1])
        except zmq.Again:
            told.send((time.perf_counter(), -1))
            return
        told.send((time.perf_counter(), size))


@contextmanager
def subscriber(endpoint: str, count: int) -> Iterator[Callable[[], tuple[float, int]]]:
    """Gives what waits for the last message and answers when it came, and the bytes of all of them."""
    here, there = Pipe()
    process = Process(target=subscribe, args=(endpoint, count, there))
    process.start()
    here.recv()

    def last() -> tuple[float, int]:
        ended, size = here.recv()
        if size < 0:
            raise SystemExit("The subscriber did not get every message.")
        return ended, size

    yield last
    process.join()


async def bus_alone(count: int) -> dict[str, float]:
    """The bus with a subscriber, given the events of `count` / 2 changes."""
    cloud = Cloud(State(), None, Settings(), now=int, random=bytes, executor=None)  # type: ignore[arg-type]
    bus = EventBus(cloud, BusAddress(publisher=0, replier=0), lambda *_: None)  # type: ignore[arg-type,return-value]
    bus.start()
    document = f"<HOOK_MESSAGE>{VM.format(1)}{VM.format(2)[:1600]}</HOOK_MESSAGE>"
    with subscriber(bus.endpoint, count) as last:
        while not bus.heard("EVENT VM 1/"):  # noqa: ASYNC110 - the bus tells nobody
            await asyncio.sleep(0.01)
        cpu, began = time.process_time(), time.perf_counter()
        for number in range(count // 2):
            keys = (f"EVENT VM {number}/PENDING/LCM_INIT ", f"EVENT STATE VM/PENDING/LCM_INIT/{number} ")
            bus._changed(Change(number, 0, events=(Event(keys, document),)))
            if number % 50 == 0:
                await asyncio.sleep(0)
        cpu = time.process_time() - cpu
        ended, _ = await asyncio.to_thread(last)
    await bus.stop()
    return {
        "published_per_s": count / (ended - began),
        "cpu_us": 1e6 * cpu / count,
        "message_bytes": len(as_base64(Event((), document))),
    }


def published(cloud: object, options: argparse.Namespace, address: tuple[str, int]) -> dict[str, float]:
    requests = allocations(cloud, options.count, VM)
    with subscriber(options.publisher, EVENTS * options.count) as last:
        cpu, began = cpu_seconds(options.pid), time.perf_counter()
        per_s, *_, errors = measure(address, requests, options.connections, options.pid)
        ended, size = last()
        cpu = cpu_seconds(options.pid) - cpu
    events = EVENTS * options.count
    return {
        "vms_per_s": per_s,
        "events_per_s": events / (ended - began),
        "cpu_us_per_event": 1e6 * cpu / events,
        "message_bytes": size / events,
        "errors": errors,
    }


def executed(
    cloud: object, options: argparse.Namespace, address: tuple[str, int], client: Client
) -> dict[str, float]:
    template = (
        f'NAME="rates-{time.time_ns()}"\nTYPE="api"\nCALL="one.vm.allocate"\nCOMMAND="{options.command}"\n'
    )
    hook = client.number("one.hook.allocate", template)
    try:
        cpu, began = cpu_seconds(options.pid), time.perf_counter()
        measure(address, allocations(cloud, options.hooks, SMALL), options.connections, options.pid)
        while number_of_runs(client, hook) < options.hooks:
            time.sleep(0.02)
        wall = time.perf_counter() - began
        cpu = cpu_seconds(options.pid) - cpu
    finally:
        client.number("one.hook.delete", hook)
    return {"runs_per_s": options.hooks / wall, "core_cpu_us_per_run": 1e6 * cpu / options.hooks}


def number_of_runs(client: Client, hook: int) -> int:
    """Executions are numbered; the log keeps the last ones."""
    log = ElementTree.fromstring(client.text("one.hooklog.info", -1, -1, hook, 0))
    found = [int(record.findtext("EXECUTION_ID") or 0) for record in log.iter("HOOK_EXECUTION_RECORD")]
    return max(found, default=-1) + 1


def allocations(cloud: object, count: int, template: str) -> list[bytes]:
    endpoint, auth = cloud.endpoint, cloud.auth  # type: ignore[attr-defined]
    calls = (encode_call("one.vm.allocate", (auth, template.format(n), True)) for n in range(count))
    return [envelope(endpoint, call) for call in calls]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--endpoint", default=os.environ.get("ONE_XMLRPC"))
    parser.add_argument("--publisher", default="tcp://127.0.0.1:2101", help="where events are published")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--count", type=int, default=3000, help="VMs whose events are published")
    parser.add_argument("--hooks", type=int, default=1000, help="runs of a hook")
    parser.add_argument("--command", default="/bin/true", help="what the hook runs")
    parser.add_argument("--pid", type=int, help="process of the core, for its CPU time")
    parser.add_argument("--bus", action="store_true", help="the bus alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    if options.bus:
        figures["bus alone"] = asyncio.run(bus_alone(20_000))
    else:
        cloud = find_cloud(options.endpoint)
        url = urlsplit(cloud.endpoint)
        address = (url.hostname or "localhost", url.port or 2633)
        figures["events of a cloud"] = published(cloud, options, address)
        figures["hooks"] = executed(cloud, options, address, Client(cloud.endpoint, cloud.auth))
    if options.json:
        print(json.dumps(figures))
        return
    for what, found in figures.items():
        print(f"{what:18} " + "  ".join(f"{name} {value:,.0f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
