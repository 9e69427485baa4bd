"""What messages of many hosts' agents cost the receiver, the core and who waits for the API.

    python -m bench.monitoring --hosts 25000 --vms 100000 --interval 30 --seconds 90

The cloud is made in its database, with hosts whose agents are this program: it sends what these would, each
a beacon, its figures and those of its VMs in every interval, what its VMs do in every sixth and its
capacity (over a connection) in every twentieth. CPU is user and system time of the processes.
"""

import argparse
import base64
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from merope.client import Client
from merope.core.transaction import object_row
from merope.daemon import core, monitoring
from merope.engine.agents import Place, Started
from merope.model.change import Change, Put
from merope.model.document import Document
from merope.model.host import Host
from merope.model.kinds import BY_DOCUMENT
from merope.model.phase import Phase
from merope.model.states import HostState
from merope.model.template import Template
from merope.model.vm import VM, History
from merope.store.sqlite import SqliteStore
from merope_agent import message
from merope_agent.sealing import Keys, session_secret
from merope_agent.template import singles, vector

MEMORY = 16 << 20
CPU = 1600
SYSTEM = 'TOTALCPU="1600"\nTOTALMEMORY="16777216"\nHYPERVISOR="kvm"\nARCH="x86_64"\nHOSTNAME="{}"\n'
_PAUSE = 0.02
_CALLS = 100.0


class Agents:
    """Takes the place of what starts agents: notes the sessions, for this program to speak for them."""

    def __init__(self, site: monitoring.Site, *_: Any, **__: Any) -> None:
        self._file = open(site.home / "sessions", "a")  # noqa: SIM115 - for as long as the process lives

    def start(self, host: Place, session: str, done: Started) -> None:
        self._file.write(f"{host.id} {session}\n")
        self._file.flush()
        done("")

    def stop(self, host: Place) -> None:
        pass


def serve(home: str, port: str) -> int:
    """The core, with agents that are not started."""
    monitoring.AgentStarter = Agents  # type: ignore[assignment,misc]
    return core.main(["--home", home, "--port", port, "--config", f"{home}/oned.conf"])


def make_cloud(home: Path, hosts: int, vms: int) -> None:
    store = SqliteStore(home / "one.db")
    change = 0

    def put(values: list[Document]) -> None:
        nonlocal change
        change += 1
        operations = [Put(BY_DOCUMENT[type(value)].table, value.id, object_row(value)) for value in values]
        store.commit([Change(change, 1, tuple(operations))])

    for first in range(0, hosts, 1000):
        put([_host(oid, hosts, vms) for oid in range(first, min(first + 1000, hosts))])
    for first in range(0, vms, 1000):
        put([_vm(oid, hosts) for oid in range(first, min(first + 1000, vms))])
    store.close()


def _host(oid: int, hosts: int, vms: int) -> Host:
    host = Host(oid, f"host{oid}", HostState.MONITORED, HostState.MONITORED, "kvm", "kvm", 0, "default")
    host.host_share.total_cpu = host.host_share.max_cpu = CPU
    host.host_share.total_mem = host.host_share.max_mem = MEMORY
    for vm in range(oid, vms, hosts):
        host.vms.add(vm)
    host.host_share.running_vms = len(host.vms)
    return host


def _vm(oid: int, hosts: int) -> VM:
    vm = VM(id=oid, uid=0, gid=0, uname="oneadmin", gname="oneadmin", name=f"vm{oid}")
    vm.template = Template([("CPU", "1"), ("MEMORY", "1024"), ("VMID", str(oid))])
    vm.state, vm.lcm_state, vm.deploy_id = Phase.RUNNING.state, Phase.RUNNING.lcm_state, f"one-{oid}"
    host = oid % hosts
    vm.history_records = [
        History(oid=oid, seq=0, hostname=f"host{host}", hid=host, cid=0, stime=1, vm_mad="kvm", tm_mad="ssh")
    ]
    return vm


class Fleet:
    """The agents of all hosts."""

    def __init__(self, home: Path, hosts: int, vms: int) -> None:
        master = bytes.fromhex((home / ".one" / "monitor_key").read_text().strip())
        self.sessions = dict(line.split() for line in (home / "sessions").read_text().splitlines())
        self.keys = {
            int(host): Keys.of(session_secret(master, int(host), session))
            for host, session in self.sessions.items()
        }
        self.vms = [range(host, vms, hosts) for host in range(hosts)]
        self.sequences = [0] * hosts
        self.began = time.monotonic()
        self.sent = self.bytes = 0
        self.port = int((home / "port").read_text())
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.connect(("127.0.0.1", self.port))

    def say(self, host: int, kind: str, payload: str) -> None:
        self.sequences[host] += 1
        clock = round((time.monotonic() - self.began) * 1000)
        said = message.Message(
            kind,
            "SUCCESS",
            host,
            int(time.time()),
            payload,
            self.sessions[str(host)],
            self.sequences[host],
            clock,
        )
        line = message.pack(said, self.keys[host])
        self.sent += 1
        self.bytes += len(line)
        if kind == message.SYSTEM:
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                connection.sendall(line)
        else:
            self.datagrams.send(line)

    def report(self, host: int, number: int) -> None:
        self.say(host, message.BEACON, "")
        figures = {name: random.randrange(10**6) for name in ("FREEMEMORY", "USEDMEMORY", "NETRX", "NETTX")}
        self.say(host, message.FIGURES, singles({**figures, "FREECPU": 700, "USEDCPU": 900}))
        lines = []
        for vm in self.vms[host]:
            names = ("MEMORY", "NETRX", "NETTX", "DISKRDBYTES", "DISKWRBYTES", "DISKRDIOPS", "DISKWRIOPS")
            found = {
                "CPU": f"{random.random() * 100:.2f}",
                **{name: random.randrange(10**9) for name in names},
            }
            encoded = base64.b64encode(singles(found).encode()).decode()
            lines.append(vector("VM", {"ID": vm, "DEPLOY_ID": f"one-{vm}", "MONITOR": encoded}))
        self.say(host, message.VM_FIGURES, "".join(lines))
        if number % 6 == 0:
            states = [
                vector("VM", {"ID": v, "DEPLOY_ID": f"one-{v}", "STATE": "RUNNING"}) for v in self.vms[host]
            ]
            self.say(
                host, message.VM_STATES, 'SYNC_STATE="yes"\nMISSING_STATE="POWEROFF"\n' + "".join(states)
            )
        if number % 20 == 0:
            self.say(host, message.SYSTEM, SYSTEM.format(f"host{host}"))

    def run(self, interval: float, told: Connection) -> None:
        """Spreads the hosts evenly over the interval; what is late is made up for. A word ends it, a number
        of messages and one of bytes is the answer to each."""
        began, done = time.monotonic(), 0
        hosts = len(self.vms)
        while True:
            if told.poll():
                word = told.recv()
                told.send((self.sent, self.bytes))
                if word == "end":
                    return
            due = int((time.monotonic() - began) / interval * hosts)
            for place in range(done, due):
                self.report(place % hosts, place // hosts + place % hosts)
            done = max(due, done)
            time.sleep(_PAUSE)


def calls(client: Client, vms: int, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of calls that come at a steady rate, one after the other."""
    found: dict[str, list[float]] = {"one.vm.info": [], "one.vm.update": []}
    ended = time.monotonic() + seconds
    while time.monotonic() < ended:
        vm = random.randrange(vms)
        for name, call in _named(client, vm).items():
            began = time.perf_counter()
            call()
            took = time.perf_counter() - began
            found[name].append(took * 1000)
            time.sleep(max(0.0, 1 / _CALLS - took))
    return found


def _named(client: Client, vm: int) -> dict[str, Callable[[], object]]:
    return {
        "one.vm.info": lambda: client.call("one.vm.info", vm),
        "one.vm.update": lambda: client.call("one.vm.update", vm, f"NOTE={random.randrange(99)}", 1),
    }


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def cpu(pid: int) -> float:
    """Seconds of user and system time."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def child(parent: int, word: str) -> int:
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                stat = (directory / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == parent and word in (directory / "cmdline").read_text():
                    return int(directory.name)
            except OSError:
                continue
    raise SystemExit(f"there is no {word}")


def size(home: Path) -> float:
    """MB of what was measured, on the disk."""
    return sum(path.stat().st_size for path in home.glob("one.db.monitoring*")) / 2**20


def main() -> int:
    if sys.argv[1:2] == ["serve"]:
        return serve(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, default=25_000)
    parser.add_argument("--vms", type=int, default=100_000)
    parser.add_argument("--interval", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--keep", type=int, default=40, help="seconds that figures are kept")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = run(Path(directory), options)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:32} {value}")
    return 0


def run(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    port, listening = _free(), _free()
    (home / ".one").mkdir()
    (home / "oned.conf").write_text(f"LISTEN_ADDRESS = 127.0.0.1\nPORT = {port}\nPASSWORD_KDF_COST = 4\n")
    (home / "monitord.conf").write_text(
        f"NETWORK = [ PORT = {listening} ]\nHOST_MONITORING_EXPIRATION_TIME = {options.keep}\n"
        f"VM_MONITORING_EXPIRATION_TIME = {options.keep}\nMONITORING_INTERVAL_HOST = 3600\n"
    )
    (home / "port").write_text(str(listening))
    (home / ".one" / "one_auth").write_text("oneadmin:opennebula\n")
    (home / ".one" / "one_key").write_text("0" * 64 + "\n")
    for name in ("run", "vms", "datastores"):
        (home / name).mkdir()
    make_cloud(home, options.hosts, options.vms)
    argv = [sys.executable, "-m", "bench.monitoring", "serve", str(home), str(port)]
    log = (home / "log").open("w")
    process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=Path(__file__).parents[1])
    try:
        return measured(home, options, process.pid, f"http://127.0.0.1:{port}/RPC2")
    except BaseException:
        print((home / "log").read_text()[-2000:], file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait()


def measured(home: Path, options: argparse.Namespace, pid: int, endpoint: str) -> dict[str, Any]:
    deadline = time.monotonic() + 300
    sessions = home / "sessions"
    while not sessions.exists() or sessions.read_text().count("\n") < options.hosts:
        if time.monotonic() > deadline:
            raise SystemExit("the core did not start")
        time.sleep(0.5)
    client = Client(endpoint, "oneadmin:opennebula")
    # Who asks is another machine, too: when an answer is there, it is taken at once.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    receiver = child(pid, "monitor.receiver")
    calls(client, options.vms, 2.0)
    idle = calls(client, options.vms, 15.0)
    # In a process of its own: a thread would be in the way of who measures.
    here, there = Pipe()
    work = Process(target=send_all, args=(home, options, there))
    sizes: dict[str, str] = {}
    work.start()
    time.sleep(options.interval / 2)
    before, began, sent = (cpu(receiver), cpu(pid)), time.monotonic(), asked(here, "count")
    busy: dict[str, list[float]] = {"one.vm.info": [], "one.vm.update": []}
    while time.monotonic() - began < options.seconds:
        for name, values in calls(client, options.vms, options.seconds / 6).items():
            busy[name] += values
        sizes[f"{time.monotonic() - began:.0f} s"] = f"{size(home):.0f} MB"
    passed = time.monotonic() - began
    used = (cpu(receiver) - before[0], cpu(pid) - before[1])
    last = asked(here, "end")
    work.join()
    found: dict[str, Any] = {
        "messages a second": round((last[0] - sent[0]) / passed),
        "bytes of a message": round(last[1] / last[0]),
        "receiver, percent of one CPU": round(used[0] / passed * 100, 1),
        "core, percent of one CPU": round(used[1] / passed * 100, 1),
        "measurements on the disk": sizes,
        "VMs of 200 that show figures": sum(
            client.info("vm", random.randrange(options.vms)).find("MONITORING/CPU") is not None
            for _ in range(200)
        ),
    }
    for name in idle:
        for label, values in (("idle", idle[name]), ("meanwhile", busy[name])):
            median, late = statistics.median(values), percentile(values, 0.99)
            found[f"{name}, {label}, ms"] = f"median {median:.2f}, p99 {late:.2f}, {len(values)} calls"
    return found


def send_all(home: Path, options: argparse.Namespace, told: Connection) -> None:
    # It stands for other machines, and is not to be in the way of this one's processes: anything else comes
    # first, at once.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    Fleet(home, options.hosts, options.vms).run(options.interval, told)


def asked(fleet: Connection, word: str) -> tuple[int, int]:
    fleet.send(word)
    sent, size = fleet.recv()
    return sent, size


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
