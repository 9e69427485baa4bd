#!/usr/bin/env python3
"""Request rates and latencies of any OpenNebula-compatible XML-RPC endpoint.

A closed loop over raw sockets: each of C connections sends its next call when the reply to the last is
complete, over a connection that is kept for as long as the server keeps it. Medians of several rounds, since
the client runs on the same machine as the server; its own share of a CPU is reported beside each rate.

    wire_rates.py --endpoint http://localhost:2633/RPC2 --pid 4711 one.system.version one.vm.info:7
    wire_rates.py --door                  # a bare door with a trivial backend: what the wire alone costs
"""

import argparse
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xmlrpc.client import dumps

SUCCESS = b"<boolean>1</boolean>"
LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*([0-9]+)")
CLOSES = re.compile(rb"(?i)\r\nconnection:[ \t]*close")


@dataclass
class Round:
    """One run at one number of connections; times in milliseconds, `client_cpu` in percent of one CPU.

    `server_cpu` is microseconds of CPU that the server took for a request, 0 when its process is not known:
    what to compare on a machine that others use too.
    """

    connections: int
    requests: int
    rate: float
    p50: float
    p99: float
    reconnects: int
    errors: int
    client_cpu: float
    server_cpu: float = 0


class Caller:
    """One connection: sends `request` again and again and notes how long each reply took."""

    def __init__(self, address: tuple[str, int], request: bytes, selector: selectors.BaseSelector) -> None:
        self.address = address
        self.request = request
        self.selector = selector
        self.times: list[float] = []
        self.errors = 0
        self.reconnects = -1
        self.socket: socket.socket | None = None
        self._begin()

    def _begin(self) -> None:
        self.received: list[bytes] = []
        self.have = 0
        self.need = -1
        self.closes = False
        self.began = time.perf_counter()
        self._send()

    def _send(self) -> None:
        if self.socket is None:
            self.socket = socket.create_connection(self.address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(self.socket, selectors.EVENT_READ, self)
            self.reconnects += 1
        self.socket.sendall(self.request)

    def close(self) -> None:
        if self.socket is not None:
            self.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None

    def readable(self) -> None:
        assert self.socket is not None
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        self.received.append(data)
        self.have += len(data)
        if self.need < 0:
            self._head()
        if data and (self.need < 0 or self.have < self.need):
            return
        if not data:
            self.close()
            if not self.have:
                self._send()
                return
        self._complete()

    def _head(self) -> None:
        """Find how long the reply is; a reply without a length ends with the connection."""
        data = b"".join(self.received)
        head, blank, _ = data.partition(b"\r\n\r\n")
        if blank:
            length = LENGTH.search(head)
            self.need = len(head) + 4 + int(length[1]) if length else sys.maxsize
            self.closes = CLOSES.search(head) is not None

    def _complete(self) -> None:
        self.times.append(time.perf_counter() - self.began)
        if SUCCESS not in b"".join(self.received[:2])[:800]:
            self.errors += 1
        if self.closes:
            self.close()
        self._begin()


def cpu_seconds(pid: int | None) -> float:
    """Give the CPU time that a process has used so far (Linux)."""
    if pid is None:
        return 0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    address: tuple[str, int], request: bytes, connections: int, seconds: float, pid: int | None = None
) -> Round:
    """Run one round; `pid` is the server's process."""
    server = cpu_seconds(pid)
    with selectors.DefaultSelector() as selector:
        cpu, began = time.process_time(), time.perf_counter()
        callers = [Caller(address, request, selector) for _ in range(connections)]
        end = began + seconds
        while time.perf_counter() < end:
            for key, _ in selector.select(1):
                key.data.readable()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        for caller in callers:
            caller.close()
    times = sorted(second for caller in callers for second in caller.times)
    if not times:
        raise SystemExit(f"No reply within {seconds:g} s.")
    return Round(
        connections=connections,
        requests=len(times),
        rate=len(times) / wall,
        p50=1000 * times[len(times) // 2],
        p99=1000 * times[min(len(times) - 1, len(times) * 99 // 100)],
        reconnects=sum(caller.reconnects for caller in callers),
        errors=sum(caller.errors for caller in callers),
        client_cpu=100 * cpu / wall,
        server_cpu=1e6 * (cpu_seconds(pid) - server) / len(times),
    )


def median_round(rounds: list[Round]) -> Round:
    """Give the median of each figure; requests, reconnects and errors are summed up."""
    columns = {name: [getattr(each, name) for each in rounds] for name in asdict(rounds[0])}
    summed = {name: sum(columns[name]) for name in ("requests", "reconnects", "errors")}
    return Round(**{**{name: statistics.median(values) for name, values in columns.items()}, **summed})


def request_for(endpoint: str, auth: str, call: str) -> bytes:
    """Build the HTTP request of a call given as METHOD[:ARGUMENT[:ARGUMENT…]]; digits are integers."""
    method, *arguments = call.split(":")
    typed = [int(text) if re.fullmatch(r"-?[0-9]+", text) else text for text in arguments]
    body = dumps((auth, *typed), method).encode()
    url = urlsplit(endpoint)
    lines = (
        f"POST {url.path or '/RPC2'} HTTP/1.1",
        f"Host: {url.netloc}",
        "Content-Type: text/xml",
        f"Content-Length: {len(body)}",
        "",
        "",
    )
    return "\r\n".join(lines).encode() + body


def table(results: dict[str, list[Round]]) -> str:
    titles = f"{'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'errors':>7} {'client %':>9} {'server us':>9}"
    lines = [f"{'call':28} {'conn':>5} {titles}"]
    for call, rounds in results.items():
        for each in rounds:
            times = f"{each.rate:9.0f} {each.p50:8.3f} {each.p99:8.3f} {each.errors:7}"
            costs = f"{each.client_cpu:9.0f} {each.server_cpu:9.1f}"
            lines.append(f"{call:28} {each.connections:5} {times} {costs}")
    return "\n".join(lines)


def bare_door() -> subprocess.Popen[str]:
    """Start a door in a process of its own; its endpoint is the first line of its output."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--serve"],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def serve() -> None:
    """Be the bare door: a version, a cached document of 4 KB and one of 60 MB, until stdin ends."""
    import asyncio

    import uvloop

    from merope.api.backend import Outcome, Peer, Value, Wire
    from merope.api.server import Door
    from merope.api.settings import DoorSettings
    from merope.api.xmlrpc import escape

    field = "<ATTRIBUTE><![CDATA[a value of the usual length]]></ATTRIBUTE>"
    document = Wire(escape(f"<VM><ID>0</ID>{field * 48}</VM>"))
    pool = Wire(document.pieces[0] * (60_000_000 // len(document.pieces[0])))

    class Trivial:
        def call(self, method: str, _params: list[Value], _peer: Peer) -> Outcome:
            if method == "one.vm.info":
                return Outcome(document)
            return Outcome(pool) if method == "one.vmpool.infoextended" else Outcome("5.12.0")

    async def run() -> None:
        door = Door()
        address = await door.start(Trivial(), DoorSettings(port=0))
        print(f"http://{address.host}:{address.port}/RPC2", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await door.stop(1)

    uvloop.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("calls", nargs="*", metavar="METHOD[:ARGUMENT…]", help="default: one.system.version")
    parser.add_argument("--endpoint", default=os.environ.get("ONE_XMLRPC", "http://localhost:2633/RPC2"))
    parser.add_argument("--auth", default="oneadmin:opennebula", help="user:password (of a sandbox)")
    parser.add_argument("--connections", default="1,8,32", help="numbers of connections (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of one round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (%(default)s)")
    parser.add_argument("--pid", type=int, help="the server's process, to tell the CPU that it takes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--door", action="store_true", help="measure a bare door that is started for it")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    door = bare_door() if options.door else None
    calls = options.calls or (
        ["one.system.version", "one.vm.info:0"] if door is not None else ["one.system.version"]
    )
    try:
        endpoint = options.endpoint
        if door is not None and door.stdout is not None:
            options.pid = door.pid
            endpoint = door.stdout.readline().strip()
        url = urlsplit(endpoint)
        address = (url.hostname or "localhost", url.port or 2633)
        results = {}
        for call in calls:
            request = request_for(endpoint, options.auth, call)
            results[call] = [
                median_round(
                    [
                        measure(address, request, count, options.seconds, options.pid)
                        for _ in range(options.rounds)
                    ]
                )
                for count in map(int, options.connections.split(","))
            ]
    finally:
        if door is not None:
            door.communicate()
    print(table(results))
    if options.json:
        figures = {call: [asdict(each) for each in rounds] for call, rounds in results.items()}
        options.json.write_text(json.dumps({"endpoint": endpoint, "calls": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
