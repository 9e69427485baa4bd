"""How many objects a second are made: VMs of 2.5 KB, VMs with an image and a NIC, users, templates, VMs of a
template. Any endpoint. A closed loop: each connection sends its next request when the last one is answered.

    creation_rates.py --pid 4711                    # each kind, on one and on eight connections
    creation_rates.py --pid 4711 --kinds linked --count 2000 --rounds 10 --connections 8

`linked` VMs all use one image, one network and security group 0; with many rounds it shows whether the rate
falls with their number. With `--pid`, the core's process, each rate comes with the CPU time of a request:
what to compare on a machine that others use too.
"""

import argparse
import json
import os
import selectors
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from scale import VM
from wire_rates import SUCCESS, Caller, cpu_seconds

from merope.client import Client, find_cloud
from merope.client.wire import encode_call

DISK = 'DISK=[TYPE="fs",FORMAT="raw",SIZE="10",DEV_PREFIX="vd",TARGET="vda"]\n'
LINKED = (
    'DISK=[IMAGE_ID="{image}",DEV_PREFIX="vd",CACHE="none"]\n'
    'NIC=[NETWORK_ID="{network}",MODEL="virtio",SECURITY_GROUPS="0"]\n'
)
IMAGE = 'NAME="rates-{stamp}"\nTYPE="DATABLOCK"\nSIZE="1"\n'
NETWORK = 'NAME="rates-{stamp}"\nVN_MAD="dummy"\nBRIDGE="br0"\nAR=[TYPE="IP4",IP="10.0.0.1",SIZE="262144"]\n'


@dataclass
class Rate:
    """`cpu_us`: microseconds of the core's CPU for a request, 0 when its process is not known."""

    kind: str
    connections: int
    round: int
    per_s: float
    p99_ms: float
    cpu_us: float
    errors: int


class Maker(Caller):
    """A connection that sends each of the requests that it shares with others once."""

    def __init__(
        self, address: tuple[str, int], requests: Iterator[bytes], selector: selectors.BaseSelector
    ) -> None:
        self.requests = requests
        super().__init__(address, next(requests), selector)

    def _complete(self) -> None:
        self.times.append(time.perf_counter() - self.began)
        if SUCCESS not in b"".join(self.received[:2])[:800]:
            self.errors += 1
        if self.closes:
            self.close()
        following = next(self.requests, None)
        if following is None:
            self.close()
            return
        self.request = following
        self._begin()


def measure(
    address: tuple[str, int], requests: list[bytes], connections: int, pid: int | None
) -> tuple[float, float, float, int]:
    """Requests a second, the 99th of a hundred times in ms, the core's CPU for each in us, and errors."""
    source = iter(requests)
    cpu, began = cpu_seconds(pid), time.perf_counter()
    with selectors.DefaultSelector() as selector:
        makers = [Maker(address, source, selector) for _ in range(min(connections, len(requests)))]
        while selector.get_map():
            for key, _ in selector.select(60):
                key.data.readable()
    wall = time.perf_counter() - began
    times = sorted(second for maker in makers for second in maker.times)
    return (
        len(times) / wall,
        1000 * times[len(times) * 99 // 100],
        1e6 * (cpu_seconds(pid) - cpu) / len(times),
        sum(maker.errors for maker in makers),
    )


def envelope(endpoint: str, body: bytes) -> bytes:
    url = urlsplit(endpoint)
    head = f"POST {url.path or '/RPC2'} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: text/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def until_ready(client: Client, image: int) -> None:
    for _ in range(200):
        if "<STATE>1</STATE>" in client.text("one.image.info", image, False):
            return
        time.sleep(0.05)
    raise SystemExit("the image did not become ready")


Arguments = Callable[[int], tuple[object, ...]]


def kinds(client: Client, stamp: int) -> dict[str, tuple[str, Callable[[], Arguments]]]:
    """By name: the method, and what gives the arguments of the n-th call."""

    def linked() -> Arguments:
        image = client.number("one.image.allocate", IMAGE.format(stamp=stamp), 1, False)
        network = client.number("one.vn.allocate", NETWORK.format(stamp=stamp), -1)
        until_ready(client, image)
        template = VM.replace(DISK, LINKED.format(image=image, network=network))
        return lambda number: (template.format(number), True)

    def instance() -> Arguments:
        template = client.number("one.template.allocate", VM.format(f"of-{stamp}"))
        return lambda number: (template, f"i{stamp}-{number}", True, "", False)

    return {
        "plain": ("one.vm.allocate", lambda: lambda number: (VM.format(number), True)),
        "linked": ("one.vm.allocate", linked),
        "user": (
            "one.user.allocate",
            lambda: lambda number: (f"u{stamp}-{number}", f"password{number}", "core", []),
        ),
        "template": ("one.template.allocate", lambda: lambda number: (VM.format(f"{stamp}-{number}"),)),
        "instance": ("one.template.instantiate", instance),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--endpoint", default=os.environ.get("ONE_XMLRPC"))
    parser.add_argument("--kinds", default="plain,linked,user,template,instance")
    parser.add_argument("--connections", default="1,8")
    parser.add_argument("--count", type=int, default=1000, help="requests of a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pid", type=int, help="process of the core, for its CPU time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cloud = find_cloud(given.endpoint)
    url = urlsplit(cloud.endpoint)
    address = (url.hostname or "localhost", url.port or 2633)
    stamp = time.time_ns()
    known, made, rates = kinds(Client(cloud.endpoint, cloud.auth), stamp), 0, []
    for kind in given.kinds.split(","):
        method, prepare = known[kind]
        arguments = prepare()
        for connections in map(int, given.connections.split(",")):
            for number in range(given.rounds):
                calls = (arguments(n) for n in range(made, made + given.count))
                requests = [
                    envelope(cloud.endpoint, encode_call(method, (cloud.auth, *each))) for each in calls
                ]
                made += given.count
                rates.append(
                    Rate(kind, connections, number, *measure(address, requests, connections, given.pid))
                )
    if given.json:
        print(json.dumps([asdict(rate) for rate in rates]))
        return
    titles = f"{'kind':10} {'conn':>4} {'per s':>8} {'p99 ms':>8} {'cpu us':>8} {'errors':>6}"
    print(f"{titles}  each round, per s (cpu us)")
    for kind, connections in dict.fromkeys((rate.kind, rate.connections) for rate in rates):
        mine = [rate for rate in rates if (rate.kind, rate.connections) == (kind, connections)]
        per_s, p99, cpu = (
            statistics.median(getattr(rate, name) for rate in mine) for name in ("per_s", "p99_ms", "cpu_us")
        )
        errors = sum(rate.errors for rate in mine)
        each = " ".join(f"{rate.per_s:.0f} ({rate.cpu_us:.0f})" for rate in mine)
        print(f"{kind:10} {connections:4} {per_s:8.0f} {p99:8.2f} {cpu:8.0f} {errors:6}  {each}")


if __name__ == "__main__":
    main()
