"""Eight clients that do everything at once to the same few objects, and what must hold afterwards.

Set MEROPE_RACE_SECONDS for longer races (default: a few seconds each).
"""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from tests.compat.conftest import Sandbox
from tests.compat.raw_calls import Argument, RawClient, refused_properly

SECONDS = float(os.environ.get("MEROPE_RACE_SECONDS", "4"))
THREADS = 8
LEASES = 6
MOST_VMS = 5
SETTLE_SECONDS = 30
DELETE = 3
ACTIVE, RUNNING = 3, 3
FAILURES = {14, 36, 37, 38, 39, 40, 41, 42, 44, 46, 47, 48, 49, 50, 61}

Call = tuple[str, tuple[Argument, ...]]


@dataclass(frozen=True)
class Arena:
    """Two users of one group and what they fight for."""

    sandbox: Sandbox
    admin: RawClient
    uids: tuple[int, int]
    network: int
    images: tuple[int, int]
    templates: tuple[int, int]
    hosts: tuple[int, int]

    def client(self, number: int) -> RawClient:
        names = ("oneadmin:opennebula", "ann:secret", "bob:secret")
        return RawClient(self.sandbox.endpoint, names[number % 3])

    def document(self, method: str, *arguments: Argument) -> Element:
        return ElementTree.fromstring(self.admin.text(method, *arguments))

    def vms(self) -> list[Element]:
        return self.document("one.vmpool.infoextended", -2, -1, -1, -1).findall("VM")


@pytest.fixture(scope="module")
def arena(sandbox: Sandbox) -> Iterator[Arena]:
    admin = RawClient(sandbox.endpoint, sandbox.auth)
    hosts = [admin.number("one.host.allocate", name, "dummy", "dummy", -1) for name in ("left", "right")]
    uids = [admin.number("one.user.allocate", name, "secret", "", []) for name in ("ann", "bob")]
    for uid in uids:
        admin.ok(
            "one.user.quota", uid, f"VM=[VMS={MOST_VMS},MEMORY=1000000,CPU=1000,SYSTEM_DISK_SIZE=100000]"
        )
    network = admin.number(
        "one.vn.allocate", f"NAME=few\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.0.0.1,SIZE={LEASES}]", -1
    )
    admin.ok("one.vn.chmod", network, 1, 1, 0, 1, 1, 0, 1, 1, 0)
    images = []
    templates = []
    for number in range(2):
        image = admin.number("one.image.allocate", f"NAME=disk{number}\nTYPE=DATABLOCK\nSIZE=1", 1)
        admin.ok("one.image.persistent", image, bool(number))
        admin.ok("one.image.chmod", image, 1, 1, 1, 1, 1, 0, 1, 1, 0)
        source = f"NAME=t{number}\nCPU=0.1\nMEMORY=16\nDISK=[IMAGE_ID={image}]\nNIC=[NETWORK_ID={network}]"
        template = admin.number("one.template.allocate", source)
        admin.ok("one.template.chmod", template, 1, 1, 1, 1, 1, 0, 1, 1, 0)
        images.append(image)
        templates.append(template)
    yield Arena(
        sandbox,
        admin,
        (uids[0], uids[1]),
        network,
        (images[0], images[1]),
        (templates[0], templates[1]),
        (hosts[0], hosts[1]),
    )
    admin.close()


class Fighter:
    """Draws calls on the objects of an arena from its own seed."""

    def __init__(self, fight: "Fight", seed: int) -> None:
        self.fight = fight
        self.arena = fight.arena
        self.rng = random.Random(seed)
        self.draws: tuple[Callable[[], Call], ...] = (
            self.allocate,
            self.allocate,
            self.allocate,
            self.instantiate,
            self.act,
            self.act,
            self.act,
            self.deploy,
            self.migrate,
            self.recover,
            self.chown,
            self.rename,
            self.lock,
            self.unlock,
            self.clone_image,
            self.delete_image,
            self.persistent,
            self.hold,
            self.release,
            self.reserve,
            self.delete_network,
            self.resize,
            self.update,
            self.quota,
            self.disable_host,
            self.group,
        )

    def call(self) -> Call:
        return self.rng.choice(self.draws)()

    def vm(self) -> int:
        """One of the newest: the others are gone."""
        newest = self.fight.newest_vm
        return self.rng.randrange(max(newest - 3 * MOST_VMS, 0), newest + 1)

    def allocate(self) -> Call:
        arena = self.arena
        source = (
            f"CPU=0.1\nMEMORY=16\nNIC=[NETWORK_ID={arena.network}]\n"
            f"DISK=[IMAGE_ID={self.rng.choice(arena.images)}]\nDISK=[TYPE=fs,SIZE=2,FORMAT=raw]"
        )
        return "one.vm.allocate", (source, self.rng.random() < 0.3)

    def instantiate(self) -> Call:
        persistent = self.rng.random() < 0.2
        return "one.template.instantiate", (
            self.rng.choice(self.arena.templates),
            "",
            False,
            "",
            persistent,
        )

    def act(self) -> Call:
        words = (
            "terminate terminate-hard terminate-hard poweroff poweroff-hard resume suspend stop undeploy "
            "hold release reboot resched unresched"
        )
        return "one.vm.action", (self.rng.choice(words.split()), self.vm())

    def deploy(self) -> Call:
        return "one.vm.deploy", (self.vm(), self.rng.choice(self.arena.hosts), True)

    def migrate(self) -> Call:
        host = self.rng.choice(self.arena.hosts)
        return "one.vm.migrate", (self.vm(), host, self.rng.random() < 0.5, True)

    def recover(self) -> Call:
        return "one.vm.recover", (self.vm(), self.rng.choice((0, 1, 2, 3, 3, 4)))

    def chown(self) -> Call:
        kind, oid = self.rng.choice(
            [("vm", self.vm()), ("image", self.rng.choice(self.arena.images)), ("vn", self.arena.network)]
        )
        return f"one.{kind}.chown", (
            oid,
            self.rng.choice((-1, 0, *self.arena.uids)),
            self.rng.choice((-1, 1)),
        )

    def rename(self) -> Call:
        kind, oid = self.rng.choice(
            [
                ("image", self.rng.randrange(6)),
                ("template", self.rng.randrange(4)),
                ("vn", self.rng.randrange(4)),
            ]
        )
        return f"one.{kind}.rename", (oid, f"same{self.rng.randrange(2)}")

    def lock(self) -> Call:
        kind, oid = self.lockable()
        return f"one.{kind}.lock", (oid, self.rng.randrange(1, 5), self.rng.random() < 0.5)

    def unlock(self) -> Call:
        kind, oid = self.lockable()
        return f"one.{kind}.unlock", (oid,)

    def lockable(self) -> tuple[str, int]:
        return self.rng.choice([("vm", self.vm()), ("image", self.rng.choice(self.arena.images))])

    def clone_image(self) -> Call:
        return "one.image.clone", (self.rng.choice(self.arena.images), f"copy{self.rng.randrange(3)}", -1)

    def delete_image(self) -> Call:
        return "one.image.delete", (self.rng.randrange(2, 8),)

    def persistent(self) -> Call:
        return "one.image.persistent", (self.rng.choice(self.arena.images), self.rng.random() < 0.5)

    def hold(self) -> Call:
        return "one.vn.hold", (self.arena.network, f"LEASES=[IP=10.0.0.{self.rng.randrange(1, LEASES + 1)}]")

    def release(self) -> Call:
        return "one.vn.release", (
            self.arena.network,
            f"LEASES=[IP=10.0.0.{self.rng.randrange(1, LEASES + 1)}]",
        )

    def reserve(self) -> Call:
        return "one.vn.reserve", (self.arena.network, f"SIZE=1\nNAME=part{self.rng.randrange(2)}")

    def delete_network(self) -> Call:
        return "one.vn.delete", (self.rng.randrange(self.arena.network + 1, self.arena.network + 6),)

    def resize(self) -> Call:
        return "one.vm.resize", (self.vm(), f"MEMORY={self.rng.choice((8, 16, 32))}", True)

    def update(self) -> Call:
        return "one.vm.update", (self.vm(), f"LABEL={self.rng.randrange(100)}", 1)

    def quota(self) -> Call:
        return "one.user.quota", (self.rng.choice(self.arena.uids), f"VM=[VMS={MOST_VMS}]")

    def disable_host(self) -> Call:
        return "one.host.status", (self.rng.choice(self.arena.hosts), self.rng.choice((0, 0, 0, 1)))

    def group(self) -> Call:
        verb = self.rng.choice(("addgroup", "delgroup"))
        return f"one.user.{verb}", (self.rng.choice(self.arena.uids), 0 if self.rng.random() < 0.05 else 1)


@dataclass
class Fight:
    """All threads at once, for SECONDS. `wrong`: what was wrong with any answer; `done`: counts successes."""

    arena: Arena
    seed: int
    newest_vm: int = 0
    wrong: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        until = time.monotonic() + SECONDS
        threads = [threading.Thread(target=self.one, args=(number, until)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def one(self, number: int, until: float) -> None:
        fighter = Fighter(self, self.seed * 100 + number)
        client = self.arena.client(number)
        try:
            while time.monotonic() < until and not self.wrong:
                method, arguments = fighter.call()
                answer = client.call(method, *arguments)
                if not (answer.success or refused_properly(answer)) or answer.seconds > 5:
                    self.wrong.append(f"seed {self.seed}: {method} {arguments}: {answer}")
                if answer.success:
                    self.done[method] += 1
                if answer.success and method in ("one.vm.allocate", "one.template.instantiate"):
                    self.newest_vm = max(self.newest_vm, int(answer.value))
        finally:
            client.close()


def settle(arena: Arena) -> list[str]:
    """What is transient after all have had time to come to rest. Hosts are enabled again before."""
    for host in arena.hosts:
        arena.admin.call("one.host.status", host, 0)
    until = time.monotonic() + SETTLE_SECONDS
    while moving := [vm.findtext("ID") or "" for vm in arena.vms() if is_moving(vm)]:
        if time.monotonic() > until:
            return moving
        time.sleep(0.1)
    return []


def is_moving(vm: Element) -> bool:
    lcm = int(vm.findtext("LCM_STATE") or 0)
    return int(vm.findtext("STATE") or 0) == ACTIVE and lcm not in {RUNNING, 16, *FAILURES}


@pytest.fixture(scope="module", params=[1, 2])
def after(arena: Arena, request: pytest.FixtureRequest) -> Arena:
    fight = Fight(arena, request.param)
    fight.run()
    assert fight.wrong == []
    assert len(fight.done) > 15, fight.done
    assert settle(arena) == [], "still transient"
    return arena


def test_no_lease_is_given_twice_or_lost(after: Arena) -> None:
    given: Counter[str] = Counter()
    for oid in [int(net.findtext("ID") or -1) for net in after.document("one.vnpool.info", -2, -1, -1)]:
        network = after.document("one.vn.info", oid)
        leases = network.findall("AR_POOL/AR/LEASES/LEASE")
        assert int(network.findtext("USED_LEASES") or -1) == len(leases)
        given.update(
            f"{oid} {lease.findtext('IP')} {lease.findtext('VM')}"
            for lease in leases
            if lease.find("VM") is not None
        )
    held = Counter(
        f"{nic.findtext('NETWORK_ID')} {nic.findtext('IP')} {vm.findtext('ID')}"
        for vm in after.vms()
        for nic in vm.findall("TEMPLATE/NIC")
    )
    assert {what: n for what, n in given.items() if not what.endswith(" -1")} == held
    assert max(given.values(), default=1) == 1


def test_quotas_are_kept_and_count_what_there_is(after: Arena) -> None:
    owned = Counter(int(vm.findtext("UID") or -1) for vm in after.vms())
    for uid in after.uids:
        quota = after.document("one.user.info", uid).find("VM_QUOTA/VM")
        assert quota is not None
        assert float(quota.findtext("VMS_USED") or -1) == owned[uid] <= MOST_VMS


def test_names_are_unique_to_their_owner(after: Arena) -> None:
    for method in ("one.imagepool.info", "one.vnpool.info"):
        names = Counter(
            (item.findtext("UID"), item.findtext("NAME")) for item in after.document(method, -2, -1, -1)
        )
        assert [name for name, count in names.items() if count > 1] == []


def test_the_log_has_no_traceback(after: Arena) -> None:
    text = (after.sandbox.home / "oned.log").read_text("utf-8", "replace")
    assert "Traceback" not in text, text[text.find("Traceback") - 500 :][:3000]


def test_everything_that_can_be_counted_anew_is_right(after: Arena) -> None:
    command = [sys.executable, "-m", "merope.daemon.one", "fsck", "--home", str(after.sandbox.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_vm_can_be_taken_away_and_leaves_nothing(after: Arena) -> None:
    for vm in after.vms():
        oid = int(vm.findtext("ID") or -1)
        after.admin.call("one.vm.unlock", oid)
        after.admin.ok("one.vm.recover", oid, DELETE)
    assert settle(after) == []
    assert after.vms() == []
    network = after.document("one.vn.info", after.network)
    assert [lease for lease in network.findall("AR_POOL/AR/LEASES/LEASE/VM") if lease.text != "-1"] == []
    for image in after.document("one.imagepool.info", -2, -1, -1):
        assert image.findtext("RUNNING_VMS") == "0"
