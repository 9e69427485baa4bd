"""How fast OneFlow and OneGate are: a cloud of its own on simulated drivers without delay, all as processes.

    bench/flow.py                      # a service of two roles: deployed, scaled, a VM off noticed; PUT /vm
    bench/flow.py --services 2000      # that many services of five VMs: event to reaction, idle CPU, memory

Times are wall clock, from the request (or the order to a VM) until the service's document says so.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.flow_cloud import ADMIN, Cloud, cloud_in

from merope.client import Client
from merope.client.async_client import AsyncClient
from merope.client.rest import basic
from merope.daemon import control
from merope.daemon.layout import Layout
from merope.flow.documents import body_of
from merope.model.onegate_token import onegate_token

RUNNING, WARNING, COOLDOWN = 2, 4, 10
_TICK = 1 / os.sysconf("SC_CLK_TCK")
#: OpenNebula 5.12's own figures (its report of the development of 5.12), seconds.
ORIGINAL = {"deploy": 11.0, "scale": 5.0, "warning": 1.0}


class Bench:
    def __init__(self, cloud: Cloud, client: Client) -> None:
        self.cloud = cloud
        self.client = client

    def body(self, oid: int) -> dict[str, Any]:
        return body_of(self.client.info("document", oid))

    def until(self, oid: int, good: Callable[[dict[str, Any]], bool]) -> float:
        """Seconds until the body of a service is `good`."""
        began = time.perf_counter()
        while not good(self.body(oid)):
            if time.perf_counter() - began > 60:
                raise SystemExit(f"service {oid} does not get there: {self.body(oid)}")
            time.sleep(0.002)
        return time.perf_counter() - began

    def template(self, roles: list[dict[str, Any]]) -> int:
        template = {"name": "bench", "deployment": "straight", "roles": roles}
        made = self.cloud.flow("POST", "/service_template", template)[1]
        return int(made["DOCUMENT"]["ID"])

    def instantiate(self, template: int) -> int:
        action = {"action": {"perform": "instantiate"}}
        made = self.cloud.flow("POST", f"/service_template/{template}/action", action)[1]
        return int(made["DOCUMENT"]["ID"])

    def cpu(self, service: str) -> float:
        """Seconds of CPU that a process has used."""
        fields = Path(f"/proc/{self._pid(service)}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK

    def memory(self, service: str) -> float:
        """MB that are its own."""
        rollup = Path(f"/proc/{self._pid(service)}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024

    def _pid(self, service: str) -> int:
        rows = control.ask(Layout.at(self.cloud.home), "status")["services"]
        return int(next(row["pid"] for row in rows if row["name"] == service))


@contextmanager
def bench(hosts: int) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as place:
        conf = ":default_cooldown: 0\n:debug_level: 1\n"
        gate = ":vm_rate: 1000000\n:vm_burst: 1000000\n:debug_level: 1\n"
        with cloud_in(Path(place) / "home", conf, gate) as cloud, cloud.client() as client:
            for number in range(2, hosts):
                client.number("one.host.allocate", f"h{number}", "dummy", "dummy", -1)
            yield Bench(cloud, client)


def one_service(it: Bench, runs: int) -> dict[str, list[float]]:
    roles = [{"name": "web", "vm_template": 0}, {"name": "db", "vm_template": 0, "parents": ["web"]}]
    template = it.template(roles)
    times: dict[str, list[float]] = {"deploy": [], "scale": [], "warning": []}
    for _ in range(runs):
        began = time.perf_counter()
        oid = it.instantiate(template)
        it.until(oid, lambda body: body["state"] == RUNNING)
        times["deploy"].append(time.perf_counter() - began)
        began = time.perf_counter()
        it.cloud.flow("POST", f"/service/{oid}/scale", {"role_name": "web", "cardinality": 2})
        it.until(oid, lambda body: body["state"] == RUNNING and len(body["roles"][0]["nodes"]) == 2)
        times["scale"].append(time.perf_counter() - began)
        vm = it.body(oid)["roles"][0]["nodes"][0]["deploy_id"]
        it.client.call("one.vm.action", "poweroff-hard", vm)
        times["warning"].append(it.until(oid, lambda body: body["state"] == WARNING))
        it.cloud.flow(
            "POST", f"/service/{oid}/action", {"action": {"perform": "recover", "params": {"delete": True}}}
        )
    return times


async def _put(
    url: str, guests: list[tuple[int, str]], seconds: float, connections: int
) -> tuple[int, list[float]]:
    """Requests in `seconds`, and how long each took."""
    host, port = url.removeprefix("http://").split(":")
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        turn = number
        while (began := time.perf_counter()) < end:
            vm, token = guests[turn % len(guests)]
            turn += connections
            body = f"LOAD={turn}".encode()
            writer.write(
                f"PUT /vm HTTP/1.1\r\nHost: {host}\r\nX-ONEGATE-VMID: {vm}\r\nX-ONEGATE-TOKEN: {token}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(head.decode())
            times.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(one(number) for number in range(connections)))
    return len(times), times


def puts(it: Bench, seconds: float) -> dict[str, Any]:
    ids = [it.client.number("one.template.instantiate", 0, f"guest-{n}", True, "", False) for n in range(50)]
    password = it.client.info("user", 0).findtext("TEMPLATE/TOKEN_PASSWORD", "")
    starts = {vm: int(it.client.info("vm", vm).findtext("STIME", "0")) for vm in ids}
    guests = [(vm, onegate_token(vm, starts[vm], password)) for vm in ids]
    before = {name: it.cpu(name) for name in ("core", "onegate", "oneflow")}
    count, times = asyncio.run(_put(it.cloud.gate_url, guests, seconds, 16))
    used = {name: 1e6 * (it.cpu(name) - before[name]) / count for name in before}
    return {
        "requests/s": round(count / seconds),
        "p99 ms": round(1000 * statistics.quantiles(times, n=100)[98], 1),
        "CPU us/request": {name: round(value) for name, value in used.items()},
    }


async def _many(it: Bench, template: int, count: int) -> list[int]:
    from aiohttp import ClientSession

    found: list[int] = []
    waiting = iter(range(count))

    async def some(session: ClientSession) -> None:
        for _ in waiting:
            url = f"{it.cloud.flow_url}/service_template/{template}/action"
            async with session.post(url, json={"action": {"perform": "instantiate"}}) as reply:
                found.append(int((await reply.json())["DOCUMENT"]["ID"]))

    async with ClientSession(headers={"Authorization": basic(ADMIN)}) as session:
        await asyncio.gather(*(some(session) for _ in range(8)))
    return found


async def _reactions(it: Bench, vms: dict[int, int], events: int, rate: float) -> list[float]:
    """Seconds from the order to a VM until its service is in WARNING; `rate` orders a second."""
    client = AsyncClient(it.cloud.endpoint, 16)
    times: list[float] = []

    async def one(service: int, vm: int) -> None:
        began = time.perf_counter()
        await client.call(ADMIN, "one.vm.action", "poweroff-hard", vm)
        while True:
            document = str(await client.call(ADMIN, "one.document.info", service))
            if '"state":4,' in document.rpartition('"log"')[0][-40:]:
                break
            if time.perf_counter() - began > 60:
                raise SystemExit(f"service {service} has not noticed that VM {vm} is off")
            await asyncio.sleep(0.02)
        times.append(time.perf_counter() - began)

    tasks = []
    for service in random.sample(sorted(vms), min(events, len(vms))):
        tasks.append(asyncio.get_running_loop().create_task(one(service, vms[service])))
        await asyncio.sleep(1 / rate)
    await asyncio.gather(*tasks)
    await client.close()
    return times


def many_services(it: Bench, count: int, events: int) -> dict[str, Any]:
    template = it.template([{"name": "web", "vm_template": 0, "cardinality": 2},
                            {"name": "db", "vm_template": 0, "cardinality": 3}])  # fmt: skip
    began, before = time.perf_counter(), it.cpu("oneflow")
    services = asyncio.run(_many(it, template, count))
    while (text := it.client.pool_text("document", state=100)).count('"state":2,"log"') < count:
        if time.perf_counter() - began > 1200:
            raise SystemExit(f"{text.count(chr(34) + 'log')} services, not all of them run")
        time.sleep(1)
    deployed, used = time.perf_counter() - began, it.cpu("oneflow") - before
    vms = {oid: it.body(oid)["roles"][0]["nodes"][0]["deploy_id"] for oid in services}
    time.sleep(2)
    idle = it.cpu("oneflow")
    time.sleep(10)
    idle = (it.cpu("oneflow") - idle) / 10
    times = asyncio.run(_reactions(it, vms, events, 20))
    return {
        "services": count,
        "VMs": 5 * count,
        "all run after s": round(deployed, 1),
        "CPU of OneFlow meanwhile s": round(used, 1),
        "idle CPU %": round(100 * idle, 2),
        "reaction p50 ms": round(1000 * statistics.median(times), 1),
        "reaction p99 ms": round(1000 * statistics.quantiles(times, n=100)[98], 1),
        "memory of OneFlow MB": round(it.memory("oneflow")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--services", type=int, default=0)
    parser.add_argument("--events", type=int, default=200)
    given = parser.parse_args()
    if given.services:
        with bench(max(4, given.services // 40)) as it:
            print(json.dumps(many_services(it, given.services, given.events), indent=2))
        return
    with bench(8) as it:
        for name, times in one_service(it, given.runs).items():
            middle, most = 1000 * statistics.median(times), 1000 * max(times)
            print(f"{name:8} median {middle:6.0f} ms, longest {most:6.0f} ms   (5.12: {ORIGINAL[name]:g} s)")
        print("PUT /vm ", json.dumps(puts(it, given.seconds)))


if __name__ == "__main__":
    main()
