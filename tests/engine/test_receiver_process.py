"""The receiver's process with real agents: over the network, into the database, and back from the dead."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.monitor.agents import MASTER, FakeAgent

import merope_agent
from merope.engine.receiver_process import ReceiverProcess
from merope.monitor.receiver import Wanted, described
from merope.monitor.rsa import KeyFileError, public_numbers, unwrap_with
from merope.store.location import File, open_store
from merope.store.sql import SqlStore
from merope_agent.sealing import session_secret

AGENT = Path(merope_agent.__file__).parent


class Site:
    """A receiver for host 5, what it said, and its database."""

    def __init__(self, home: Path, private_key: str = "") -> None:
        self.home = home
        self.said: list[dict[str, Any]] = []
        self.news = asyncio.Event()
        self.place = File(home / "one.db")
        self.store: SqlStore = open_store(self.place)
        self.private_key = private_key
        self.began: float | None = None
        self.process = ReceiverProcess(self.wanted, self.hear, self.greet)
        self.agents: list[int] = []

    def wanted(self) -> Wanted:
        database = described(self.place)
        return Wanted("127.0.0.1", 0, True, MASTER.hex(), self.private_key, database, 60.0, 15.0, 900, 900, 0)

    def greet(self) -> list[dict[str, Any]]:
        return [{"expect": 5, "session": "s1", "began": self.began}]

    def hear(self, said: dict[str, Any]) -> None:
        self.said.append(said)
        self.news.set()

    async def heard(self, test: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first of what is said from now on, or was before, that passes the test; taken out."""
        while True:
            for word in self.said:
                if test(word):
                    self.said.remove(word)
                    return word
            self.news.clear()
            async with asyncio.timeout(60):
                await self.news.wait()

    async def port(self) -> int:
        return int((await self.heard(lambda said: "listening" in said))["listening"])

    def configuration(self, port: int, session: str = "s1", **more: Any) -> dict[str, Any]:
        periods = dict.fromkeys(("BEACON_HOST", "SYSTEM_HOST", "MONITOR_HOST", "STATE_VM", "MONITOR_VM"), 0.2)
        return {
            "host": 5,
            "name": "node5",
            "hypervisor": "kvm",
            "address": "127.0.0.1",
            "port": port,
            "session": session,
            "secret": session_secret(MASTER, 5, session).hex(),
            "run": str(self.home / "run"),
            "periods": periods,
            "libvirt_uri": "test:///default",
            "datastores": str(self.home),
            "parent": os.getpid(),
            **more,
        }

    async def start_agent(self, configuration: dict[str, Any]) -> int:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-B", str(AGENT), "start"],
            input=json.dumps(configuration),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        self.agents.append(json.loads(done.stdout)["pid"])
        return self.agents[-1]

    async def close(self) -> None:
        for pid in self.agents:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        await self.process.close()
        self.store.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def gone(pid: int) -> None:
    async with asyncio.timeout(60):
        while alive(pid):  # noqa: ASYNC110 - it is nobody's child
            await asyncio.sleep(0.02)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    made.process.start()
    yield made
    await made.close()


async def test_a_real_agent_tells_of_its_host(site: Site) -> None:
    await site.start_agent(site.configuration(await site.port()))
    system = await site.heard(lambda said: said.get("system") == 5)
    assert system["total_cpu"] == 100 * (os.cpu_count() or 1)
    attributes = {name: value for name, value in system["attributes"] if isinstance(value, str)}
    assert attributes["HOSTNAME"] == socket.gethostname()
    await site.heard(lambda said: said.get("states") == 5)
    await site.heard(lambda said: any(row[:2] == ["host_pool", 5] for row in said.get("figures", [])))
    await site.process.written()
    [(oid, body)] = site.store.query("SELECT DISTINCT hid, 1 FROM host_monitoring")
    assert (oid, body) == (5, 1)


async def test_a_receiver_that_was_killed_is_back_and_hears_the_same_agent(site: Site) -> None:
    await site.port()
    pid = site.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    port = await site.port()
    assert site.process.pid != pid
    agent = FakeAgent(host=5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(agent.say("SYSTEM_HOST", 'TOTALCPU="100"\n'), ("127.0.0.1", port))
    assert (await site.heard(lambda said: "system" in said))["total_cpu"] == 100


async def test_a_large_message_comes_over_a_connection(site: Site) -> None:
    port = await site.port()
    lines = "".join(
        f'VM=[ ID="{oid}", STATE="RUNNING", X="{os.urandom(20).hex()}" ]\n' for oid in range(3000)
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(FakeAgent(host=5).say("STATE_VM", lines))
    writer.close()
    await writer.wait_closed()
    told = await site.heard(lambda said: "states" in said)
    assert len(told["vms"]) == 3000
    del reader


async def test_what_is_no_message_is_counted_and_hurts_nobody(site: Site) -> None:
    port = await site.port()
    agent = FakeAgent(host=5)
    line = agent.say("BEACON_HOST")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        forged = FakeAgent(host=5, master=bytes(32)).say("SYSTEM_HOST", 'TOTALCPU="1"\n')
        for sent in (b"", b"\0" * 60000, b"GET / HTTP/1.1\r\n", forged, line, line):
            sender.sendto(sent, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 100_000)
        writer.close()
        sender.sendto(agent.say("SYSTEM_HOST", 'TOTALCPU="100"\n'), ("127.0.0.1", port))
    assert (await site.heard(lambda said: "system" in said))["total_cpu"] == 100
    site.process.tell({"count": True})
    counts = (await site.heard(lambda said: "taken" in said))["refused"]
    assert (counts["forged"], counts["replayed"]) == (1, 1)
    assert counts["malformed"] >= 3
    del reader


async def test_a_second_agent_of_a_host_ends_the_first(site: Site) -> None:
    port = await site.port()
    first = await site.start_agent(site.configuration(port))
    second = await site.start_agent(site.configuration(port))
    await gone(first)
    assert alive(second)


async def test_an_agent_that_nobody_expects_ends_itself(site: Site) -> None:
    pid = await site.start_agent(site.configuration(await site.port(), session="yesterday"))
    await gone(pid)


async def test_an_agent_is_stopped(site: Site) -> None:
    configuration = site.configuration(await site.port())
    pid = await site.start_agent(configuration)
    given = json.dumps({"host": 5, "run": configuration["run"]})
    argv = [sys.executable, "-B", str(AGENT), "stop"]
    await asyncio.to_thread(subprocess.run, argv, input=given, text=True, check=True, timeout=60)
    await gone(pid)


async def test_an_agent_ends_with_its_parent(site: Site) -> None:
    parent = await asyncio.create_subprocess_exec("sleep", "1000")
    pid = await site.start_agent(site.configuration(await site.port(), parent=parent.pid))
    assert alive(pid)
    parent.kill()
    await parent.wait()
    await gone(pid)


def test_a_configuration_that_is_none_is_refused_with_the_reason() -> None:
    argv = [sys.executable, "-B", str(AGENT), "start"]
    done = subprocess.run(argv, input='{"host": 1}', capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert "cannot be read" in done.stderr


# Encryption


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Files of a public and a private key."""
    directory = tmp_path_factory.mktemp("keys")
    key = rsa.generate_private_key(65537, 2048)
    private, public = directory / "key", directory / "key.pub"
    plain = serialization.NoEncryption()
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    )
    return str(public), str(private)


async def test_with_a_key_of_the_site_messages_are_encrypted(tmp_path: Path, keys: tuple[str, str]) -> None:
    modulus, exponent = public_numbers(keys[0])
    site = Site(tmp_path, keys[1])
    site.process.start()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        port = await site.port()
        sender.sendto(FakeAgent(host=5).say("SYSTEM_HOST", 'TOTALCPU="1"\n'), ("127.0.0.1", port))
        public_key = {"modulus": f"{modulus:x}", "exponent": exponent}
        await site.start_agent(site.configuration(port, public_key=public_key))
        system = await site.heard(lambda said: "system" in said)
    assert system["total_cpu"] > 1
    await site.close()


def test_a_key_that_is_none_is_refused_with_its_name(tmp_path: Path, keys: tuple[str, str]) -> None:
    with pytest.raises(KeyFileError, match="NETWORK/PUBKEY /nowhere cannot be read"):
        public_numbers("/nowhere")
    (tmp_path / "key").write_text("no key")
    with pytest.raises(KeyFileError, match="NETWORK/PRIKEY"):
        unwrap_with(str(tmp_path / "key"))
