"""What an outage of the database server costs: it is killed (SIGKILL) under load, and started again.

A core on simulated drivers stores in a server of its own, MariaDB or PostgreSQL; clients allocate VMs and
read all the time, while the server is killed by its process id and started again, several times. Every
allocation that was acknowledged must be there, at the end and after the core has been started anew;
nothing may be there twice, and `one fsck` must find nothing. Prints figures, or with --json one object;
exit status 1 when anything was lost.
"""

import argparse
import contextlib
import json
import re
import statistics
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.crash import Sandbox, sandbox_in
from tests.store import servers
from tests.store.servers import DatabaseServer

from merope.client import ClientError, OneError
from merope.store.server import Server

VM = "CPU=0.01\nMEMORY=1\n"
_BETWEEN_SECONDS = 2.0


@dataclass
class Figures:
    """Counts over all rounds; times in seconds."""

    backend: str
    rounds: int = 0
    acknowledged: int = 0
    refused: int = 0
    """Allocations that were answered with an error."""
    unknown: int = 0
    """Those among them of which was said that their fate is not known."""
    unanswered: int = 0
    reads: int = 0
    reads_while_away: int = 0
    failed_reads: int = 0
    again_seconds: list[float] = field(default_factory=list)
    """From the server's answering again to the next acknowledged write, by round."""
    longest_answer_seconds: float = 0.0
    kept_though_unknown: int = 0
    lost: list[int] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    """VMs that nobody was told of, and that are not among the unknown ones."""
    findings: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.extra or self.findings)


class Load:
    """Clients at work until `end`."""

    def __init__(self, sandbox: Sandbox, clients: int) -> None:
        self._sandbox = sandbox
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.away = False
        self.acknowledged: dict[int, str] = {}
        self.last = 0.0
        """When the last write was acknowledged."""
        self.unknown: list[str] = []
        self.refused = self.unanswered = self.reads = self.reads_while_away = self.failed_reads = 0
        self.longest = 0.0
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(clients)]
        self._threads += [threading.Thread(target=self._read) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        with self._sandbox.client() as client:
            for turn in range(1_000_000):
                if self._ended.is_set():
                    return
                name = f"w{number}-{turn}"
                began = time.monotonic()
                try:
                    oid = client.number("one.vm.allocate", f"{VM}NAME={name}\n", True)
                except OneError as error:
                    with self._lock:
                        self.refused += 1
                        if "not known yet" in str(error):
                            self.unknown.append(name)
                    time.sleep(0.02)
                except ClientError:
                    with self._lock:
                        self.unanswered += 1
                        self.unknown.append(name)
                else:
                    with self._lock:
                        self.acknowledged[oid] = name
                        self.last = time.monotonic()
                self.longest = max(self.longest, time.monotonic() - began)

    def _read(self) -> None:
        with self._sandbox.client() as client:
            while not self._ended.wait(0.01):
                away = self.away
                try:
                    client.text("one.hostpool.info")
                except (OneError, ClientError):
                    self.failed_reads += 1
                else:
                    self.reads += 1
                    self.reads_while_away += away


def configure(home: Path, place: Server) -> None:
    secret = place.password.replace('"', '\\"')
    home.mkdir(exist_ok=True)
    (home / "oned.conf").write_text(
        f'DB = [ BACKEND="{place.backend}", SERVER="{place.host}", USER="{place.user}", PASSWD="{secret}",\n'
        f'  DB_NAME="{place.database}" ]\n'
    )
    (home / "oned.conf").chmod(0o600)


def rounds(server: DatabaseServer, home: Path, count: int, clients: int, down: float) -> Figures:
    figures = Figures(server.backend)
    configure(home, server.database())
    with sandbox_in(home) as sandbox:
        sandbox.start()
        load = Load(sandbox, clients)
        for _ in range(count):
            time.sleep(_BETWEEN_SECONDS)
            server.kill()
            load.away = True
            time.sleep(down)
            server.start()
            load.away = False
            figures.again_seconds.append(_seconds_until_written(load))
            figures.rounds += 1
        time.sleep(_BETWEEN_SECONDS)
        load.end()
        _look(sandbox, load, figures)
        sandbox.stop()
        # What is in the database, not what the process remembers.
        sandbox.start()
        _look(sandbox, load, figures)
        figures.findings += sandbox.fsck()
    for name in ("refused", "unanswered", "reads", "reads_while_away", "failed_reads"):
        setattr(figures, name, getattr(load, name))
    figures.acknowledged, figures.unknown = len(load.acknowledged), len(load.unknown)
    figures.longest_answer_seconds = load.longest
    return figures


def _seconds_until_written(load: Load) -> float:
    began = time.monotonic()
    while load.last < began:
        if time.monotonic() - began > 30:
            raise SystemExit("nothing is written 30 s after the server answers again")
        time.sleep(0.005)
    return load.last - began


def _look(sandbox: Sandbox, load: Load, figures: Figures) -> None:
    with sandbox.client() as client:
        text = client.text("one.vmpool.info", -2, -1, -1, -1)
    found = {int(oid): name for oid, name in re.findall(r"<VM><ID>(\d+)</ID>.*?<NAME>(w[^<]*)</NAME>", text)}
    figures.lost += [oid for oid, name in load.acknowledged.items() if found.get(oid) != name]
    extra = [name for oid, name in found.items() if oid not in load.acknowledged]
    figures.extra += sorted(set(extra) - set(load.unknown))
    figures.kept_though_unknown = len(set(extra) & set(load.unknown))
    if len(set(found.values())) != len(found):
        figures.extra.append("a VM is there twice")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--backend", choices=("mysql", "postgresql"), default="mysql")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--down", type=float, default=4, help="seconds for which the server is away")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    reason = servers.missing(args.backend)
    if reason:
        raise SystemExit(reason)
    server = servers.made(args.backend)
    with contextlib.ExitStack() as stack:
        stack.callback(server.remove)
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        figures = rounds(server, Path(directory) / "home", args.rounds, args.clients, args.down)
    if args.json:
        print(json.dumps(asdict(figures)))
    else:
        for name, value in asdict(figures).items():
            shown = value
            if name == "again_seconds":
                shown = f"median {statistics.median(value):.2f}, at most {max(value):.2f}"
            print(f"{name:<24}{shown}")
    return 0 if figures.is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
