"""What a crash of the core costs: it is killed (SIGKILL) during bursts of clients, again and again.

Starts a sandbox of its own, lets clients make VMs, images, networks, routers and papers and do everything to
them that can be done, kills the core by its process id, starts it again, and looks: everything whose
allocation was acknowledged must be there, every acknowledged deletion must have happened, no VM and no image
may be on its way to somewhere 10 s later, and `one fsck` must find nothing. Prints figures, or with --json
one object; exit status 1 when anything was lost.
"""

import argparse
import contextlib
import json
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from merope.client import Client, ClientError, OneError
from merope.core import lifecycle
from merope.model.phase import phase_of

AUTH = "oneadmin:opennebula"
NET = 'VN_MAD="dummy"\nBRIDGE="br0"\nAR=[TYPE="IP4",IP="10.0.0.1",SIZE="60000"]\n'
VM = """CPU=0.01
MEMORY=1
DISK=[IMAGE_ID="0"]
DISK=[TYPE="fs",FORMAT="raw",SIZE="10"]
NIC=[NETWORK_ID="0"]
NIC=[NETWORK_ID="0"]
"""
ROUTER = 'NAME="router-{0}"\nNIC=[NETWORK_ID="0",FLOATING_IP="YES"]\n'
ACTIONS = (
    "poweroff",
    "poweroff-hard",
    "suspend",
    "resume",
    "reboot",
    "stop",
    "undeploy-hard",
    "terminate-hard",
)
#: Seconds within which nothing may be on its way any more.
PATIENCE = 10.0
Arguments = tuple[int | str | bool, ...]
#: What is done to a VM of the client's own besides: method and how its further arguments are drawn.
VM_CALLS: tuple[tuple[str, Callable[[random.Random], Arguments]], ...] = (
    ("one.vm.attach", lambda _: ('DISK=[TYPE="fs",FORMAT="raw",SIZE="5"]',)),
    ("one.vm.attach", lambda _: ('DISK=[IMAGE_ID="0"]',)),
    ("one.vm.detach", lambda dice: (dice.randrange(4),)),
    ("one.vm.attachnic", lambda _: ('NIC=[NETWORK_ID="0"]',)),
    ("one.vm.attachnic", lambda _: ('NIC_ALIAS=[NETWORK_ID="0",PARENT="NIC0"]',)),
    ("one.vm.detachnic", lambda dice: (dice.randrange(4),)),
    ("one.vm.disksnapshotcreate", lambda _: (0, "before")),
    ("one.vm.disksnapshotrevert", lambda dice: (0, dice.randrange(3))),
    ("one.vm.disksnapshotdelete", lambda dice: (0, dice.randrange(3))),
    ("one.vm.snapshotcreate", lambda _: ("before",)),
    ("one.vm.snapshotrevert", lambda dice: (dice.randrange(3),)),
    ("one.vm.snapshotdelete", lambda dice: (dice.randrange(3),)),
    ("one.vm.diskresize", lambda dice: (1, str(dice.randint(11, 99)))),
    ("one.vm.disksaveas", lambda dice: (0, f"saved-{dice.getrandbits(60)}", "", -1)),
    ("one.vm.resize", lambda dice: (f"MEMORY={dice.randint(1, 9)}", True)),
    ("one.vm.updateconf", lambda _: ('OS=[ARCH="x86_64"]',)),
    ("one.vm.migrate", lambda dice: (dice.randrange(2), dice.random() < 0.5, False, -1, 0)),
    ("one.vm.rename", lambda dice: (f"vm-{dice.getrandbits(60)}",)),
    ("one.vm.update", lambda dice: (f'NOTE="{dice.getrandbits(60)}"', 1)),
)
#: Other objects that are made, and what is done to one of them: a method and its arguments after the id.
OTHERS: dict[str, tuple[Callable[[int], Arguments], tuple[tuple[str, Arguments], ...]]] = {
    "image": (
        lambda n: (f'NAME="image-{n}"\nTYPE="DATABLOCK"\nSIZE="1"\n', 1, False),
        (("persistent", (True,)), ("enable", (False,)), ("rename", ("image-again",)), ("chmod", (1,) * 9)),
    ),
    "vn": (
        lambda n: (f'NAME="net-{n}"\n{NET}', -1),
        (("hold", ('LEASES=[IP="10.0.0.9"]',)), ("add_ar", ('AR=[TYPE="ETHER",SIZE="4"]',)), ("lock", (1,))),
    ),
    "template": (lambda n: (f'NAME="app-{n}"\n{VM}',), (("update", ("MEMORY=2", 1)), ("lock", (1,)))),
    "vrouter": (
        lambda n: (ROUTER.format(n),),
        (("attachnic", ('NIC=[NETWORK_ID="0"]',)), ("detachnic", (0,))),
    ),
    "vmgroup": (lambda n: (f'NAME="group-{n}"\nROLE=[NAME="db"]\n',), (("lock", (1,)),)),
    "secgroup": (
        lambda n: (f'NAME="rules-{n}"\n',),
        (("update", ('RULE=[PROTOCOL="ALL",RULE_TYPE="inbound"]', 1)),),
    ),
    "document": (lambda n: (f'NAME="paper-{n}"\n', 100), (("update", ("TEXT=x", 1)),)),
    "vntemplate": (lambda n: (f'NAME="vlan-{n}"\n{NET}',), (("update", ("TEXT=x", 1)),)),
}
_DELETE = 3
_DONE = 6
_ROW = re.compile(r"<VM><ID>(\d+)</ID>.*?<STATE>(\d+)</STATE><LCM_STATE>(\d+)</LCM_STATE>", re.DOTALL)


_LOCKED = "<STATE>4</STATE>"
Other = tuple[str, int]
"""The part of its methods' names that is an object's kind's, and its id."""


@dataclass
class Figures:
    """Counts over all rounds; times in seconds."""

    rounds: int = 0
    acknowledged: int = 0
    deleted: int = 0
    others: int = 0
    """Objects of other kinds, acknowledged."""
    others_deleted: int = 0
    requests: int = 0
    under_way: list[int] = field(default_factory=list)
    """Operations that the database held at the kill, by round."""
    start_seconds: list[float] = field(default_factory=list)
    rest_seconds: list[float] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    unlisted: list[int] = field(default_factory=list)
    """VMs that are there and were not in a list of all."""
    undone_deletions: list[int] = field(default_factory=list)
    others_lost: list[str] = field(default_factory=list)
    others_undone: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        lost = self.lost or self.unlisted or self.undone_deletions or self.others_lost or self.others_undone
        return bool(lost or self.stuck or self.findings)


class Sandbox:
    """A core on simulated drivers that can be killed and started again on the same home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._command("merope.daemon.one", "prepare")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/RPC2"

    def words(self, module: str, *more: str) -> list[str]:
        options = ["--home", str(self.home), "--port", str(self.port), "--drivers", "dummy"]
        return [sys.executable, "-m", module, *more, *options]

    def _command(self, module: str, *more: str) -> None:
        subprocess.run(self.words(module, *more), check=True, capture_output=True)

    def start(self) -> float:
        """Seconds until it answers."""
        began = time.perf_counter()
        with (self.home / "core.log").open("ab") as output:
            self._process = subprocess.Popen(
                self.words("merope.daemon.core"), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        while time.perf_counter() - began < 30:
            assert self._process.poll() is None, (self.home / "core.log").read_text()[-2000:]
            with contextlib.suppress(ClientError), self.client() as client:
                client.text("one.system.version")
                return time.perf_counter() - began
            time.sleep(0.01)
        raise SystemExit("the core does not answer within 30 s")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def under_way(self) -> int:
        """Operations in the database of a core that was killed; looked at in a copy, to leave it as it is."""
        with tempfile.TemporaryDirectory() as directory:
            for path in self.home.glob("one.db*"):
                shutil.copy(path, directory)
            with contextlib.closing(sqlite3.connect(Path(directory) / "one.db")) as connection:
                count: int = connection.execute("SELECT COUNT(*) FROM merope_effect").fetchone()[0]
                return count

    def stop(self) -> int:
        """The exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def client(self) -> Client:
        return Client(self.endpoint, AUTH, timeout=20)

    def fsck(self) -> list[str]:
        words = [sys.executable, "-m", "merope.daemon.one", "fsck", "--json", "--home", str(self.home)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode > 1:
            return [done.stderr]
        return [finding["message"] for finding in json.loads(done.stdout)["found"]]


@dataclass
class Burst:
    """Clients at work until the core is gone; what they were told has been done."""

    sandbox: Sandbox
    clients: int
    seed: int
    allocated: list[int] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    made: list[Other] = field(default_factory=list)
    removed: list[Other] = field(default_factory=list)
    requests: int = 0

    def run(self, requests: int) -> None:
        """Kills the core when so many requests have been made."""
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(self.clients)]
        for thread in threads:
            thread.start()
        began = time.perf_counter()
        while self.requests < requests and time.perf_counter() - began < 30:
            time.sleep(0.001)
        self.sandbox.kill()
        for thread in threads:
            thread.join()

    def _work(self, number: int) -> None:
        dice = random.Random(self.seed * 100 + number)
        mine: list[int] = []
        others: list[Other] = []
        with contextlib.suppress(ClientError, OSError), self.sandbox.client() as client:
            while True:
                self.requests += 1
                # A refusal is an answer too: not every action fits every state.
                with contextlib.suppress(OneError):
                    if dice.random() < 0.2:
                        self._step_with_others(client, dice, others)
                    else:
                        self._step(client, dice, mine)

    def _step(self, client: Client, dice: random.Random, mine: list[int]) -> None:
        chance = dice.random()
        if chance < 0.25 or not mine:
            mine.append(client.number("one.vm.allocate", VM, chance < 0.02))
            self.allocated.append(mine[-1])
        elif chance < 0.5:
            client.number("one.vm.action", dice.choice(ACTIONS), dice.choice(mine))
        elif chance < 0.96:
            method, draw = dice.choice(VM_CALLS)
            client.number(method, dice.choice(mine), *draw(dice))
        else:
            oid = mine.pop(dice.randrange(len(mine)))
            client.number("one.vm.recover", oid, _DELETE)
            self.deleted.append(oid)

    def _step_with_others(self, client: Client, dice: random.Random, others: list[Other]) -> None:
        chance = dice.random()
        if chance < 0.5 or not others:
            api = dice.choice(sorted(OTHERS))
            arguments = OTHERS[api][0](dice.getrandbits(60))
            others.append((api, client.number(f"one.{api}.allocate", *arguments)))
            self.made.append(others[-1])
        elif chance < 0.9:
            api, oid = dice.choice(others)
            method, arguments = dice.choice(OTHERS[api][1])
            client.call(f"one.{api}.{method}", oid, *arguments)
        else:
            api, oid = other = others.pop(dice.randrange(len(others)))
            client.number(f"one.{api}.delete", oid)
            self.removed.append(other)


def states(client: Client) -> dict[int, tuple[int, int]]:
    """STATE and LCM_STATE of every VM, the finished ones too."""
    pool = client.text("one.vmpool.info", -2, -1, -1, -2)
    return {int(found[1]): (int(found[2]), int(found[3])) for found in _ROW.finditer(pool)}


def in_transit(found: dict[int, tuple[int, int]]) -> list[str]:
    phases = {oid: phase_of(*numbers) for oid, numbers in found.items()}
    return [f"VM {oid} is {phase.name}" for oid, phase in phases.items() if phase in lifecycle.EFFECTS]


def rounds(sandbox: Sandbox, count: int, clients: int, requests: int, seed: int) -> Figures:
    figures = Figures()
    allocated: set[int] = set()
    deleted: set[int] = set()
    made: set[Other] = set()
    removed: set[Other] = set()
    sandbox.start()
    with sandbox.client() as client:
        for name in ("node0", "node1"):
            client.number("one.host.allocate", name, "dummy", "dummy", -1)
        client.number("one.vn.allocate", f'NAME="net"\n{NET}', -1)
        client.number("one.image.allocate", 'NAME="image"\nTYPE="DATABLOCK"\nSIZE="1"\n', 1, False)
    dice = random.Random(seed)
    for number in range(count):
        burst = Burst(sandbox, clients, seed + number)
        burst.run(dice.randint(requests // 2, requests * 3 // 2))
        figures.under_way.append(sandbox.under_way())
        figures.start_seconds.append(sandbox.start())
        allocated.update(burst.allocated)
        deleted.update(burst.deleted)
        made.update(burst.made)
        removed.update(burst.removed)
        figures.requests += burst.requests
        _look(sandbox, figures, allocated, deleted)
        _look_for_others(sandbox, figures, made, removed)
        figures.findings += sandbox.fsck()
        figures.rounds += 1
    figures.acknowledged, figures.deleted = len(allocated), len(deleted)
    figures.others, figures.others_deleted = len(made), len(removed)
    return figures


def _look(sandbox: Sandbox, figures: Figures, allocated: set[int], deleted: set[int]) -> None:
    began = time.perf_counter()
    with sandbox.client() as client:
        found = states(client)
        while (moving := in_transit(found)) and time.perf_counter() - began < PATIENCE:
            time.sleep(0.02)
            found = states(client)
        for oid in sorted(allocated - found.keys()):
            (figures.unlisted if _exists(client, oid) else figures.lost).append(oid)
    figures.rest_seconds.append(time.perf_counter() - began)
    figures.stuck += moving
    figures.undone_deletions += sorted(oid for oid in deleted & found.keys() if found[oid][0] != _DONE)


def _look_for_others(sandbox: Sandbox, figures: Figures, made: set[Other], removed: set[Other]) -> None:
    """An image's deletion takes its file first: what is about to go need not be gone yet."""
    with sandbox.client() as client:
        there = {other for other in made if _exists(client, other[1], other[0])}
        going = {other for other in removed & there if other[0] == "image"}
        began = time.perf_counter()
        while going and time.perf_counter() - began < PATIENCE:
            going = {other for other in going if _exists(client, other[1], other[0])}
            time.sleep(0.02)
        figures.others_lost += [f"{api} {oid}" for api, oid in sorted(made - removed - there)]
        gone_late = {other for other in removed & there if not _exists(client, other[1], other[0])}
        figures.others_undone += [f"{api} {oid}" for api, oid in sorted((removed & there) - gone_late)]
        stuck = [image for image in made & there if image[0] == "image" and image not in removed]
        while stuck and time.perf_counter() - began < PATIENCE:
            stuck = [image for image in stuck if _LOCKED in client.text("one.image.info", image[1])]
        figures.stuck += [f"image {oid} is LOCKED" for _, oid in stuck]


def _exists(client: Client, oid: int, api: str = "vm") -> bool:
    try:
        client.text(f"one.{api}.info", oid)
    except OneError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def sandbox_in(directory: Path) -> Iterator[Sandbox]:
    made = Sandbox(directory)
    try:
        yield made
    finally:
        made.stop()


def _print(figures: Figures) -> None:
    rows = {
        "rounds (core killed)": figures.rounds,
        "requests": figures.requests,
        "VMs acknowledged": figures.acknowledged,
        "of these lost": len(figures.lost),
        "of these not in the list of all": len(figures.unlisted),
        "deletions acknowledged": figures.deleted,
        "of these undone": len(figures.undone_deletions),
        "other objects acknowledged": figures.others,
        "of these lost ": len(figures.others_lost),
        "of their deletions acknowledged": figures.others_deleted,
        "of these undone ": len(figures.others_undone),
        "operations under way at the kills": sum(figures.under_way),
        "VMs on their way 10 s later": len(figures.stuck),
        "restart until it answers, longest": f"{max(figures.start_seconds):.2f} s",
        "then until all VMs are at rest, longest": f"{max(figures.rest_seconds):.2f} s",
        "findings of fsck": len(figures.findings),
    }
    for name, value in rows.items():
        print(f"{name:<42}{value}")
    lost = (*figures.others_lost, *figures.others_undone)
    for sentence in (*figures.stuck, *figures.findings, *lost)[:20]:
        print(sentence)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests", type=int, default=500, help="in a burst, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="merope-crash-"))
    try:
        with sandbox_in(directory / "home") as sandbox:
            figures = rounds(sandbox, args.rounds, args.clients, args.requests, args.seed)
    finally:
        shutil.rmtree(directory)
    if args.json:
        print(json.dumps(asdict(figures), indent=2))
    else:
        _print(figures)
    return int(figures.bad)


if __name__ == "__main__":
    sys.exit(main())
