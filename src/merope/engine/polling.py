"""Looks at hosts and datastores from time to time, and at once when one is new."""

import json
import logging
from collections.abc import Callable
from typing import Any, Protocol

from merope.core import datastore, host_monitor, marketplace_app
from merope.core.host_monitor import Found, Measured
from merope.core.transaction import Transaction
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Handle, Timer
from merope.engine.job import Answer
from merope.model.change import Change, Put
from merope.model.figures import host_document, vm_document
from merope.model.host import Host
from merope.model.marketplace import Marketplace
from merope.model.states import HostState
from merope.model.template import Template, Vector

log = logging.getLogger("merope.monitor")

PROBE_SECONDS = 60.0
#: A host is given up when so many looks in a row have failed.
PATIENCE = 3


class Prober(Protocol):
    """Asks drivers what is true; `request` names the probe and what it is about."""

    def probe(self, request: dict[str, Any], seconds: float, done: Callable[[Answer], None], /) -> Handle: ...


class MonitoringLog(Protocol):
    """Keeps what was measured; must not block."""

    def record(self, table: str, oid: int, time: int, document: str) -> None: ...


class Poller:
    """`host_seconds` and `datastore_seconds` between two looks at the same one."""

    def __init__(
        self,
        cloud: Cloud,
        prober: Prober,
        after: Timer,
        records: MonitoringLog | None = None,
        *,
        host_seconds: float = 5.0,
        datastore_seconds: float = 300.0,
        market_seconds: float = 600.0,
        has_agent: Callable[[Host], bool] = lambda _: False,
    ) -> None:
        """Hosts that have an agent are left to it."""
        self._cloud = cloud
        self._prober = prober
        self._after = after
        self._records = records
        self._has_agent = has_agent
        self._periods = {
            "host_pool": host_seconds,
            "datastore_pool": datastore_seconds,
            "marketplace_pool": market_seconds,
        }
        self._under_way: dict[tuple[str, int], Handle] = {}
        self._failures: dict[int, int] = {}
        self._stopped = False
        cloud.subscribe(self._changed)

    def start(self) -> None:
        for table in self._periods:
            for oid in list(self._cloud.state.pools[table].entries):
                self._look(table, oid)

    def stop(self) -> None:
        self._stopped = True
        for handle in self._under_way.values():
            handle.cancel()
        self._under_way.clear()

    def _changed(self, change: Change) -> None:
        for operation in change.operations:
            key = operation.key
            if not isinstance(operation, Put) or operation.table not in self._periods:
                continue
            if not isinstance(key, int):
                continue
            new = (operation.table, key) not in self._under_way
            enabled = operation.table == "host_pool" and operation.row.get("state") == HostState.INIT
            if new or enabled:
                self._look(operation.table, key)

    def _look(self, table: str, oid: int) -> None:
        if self._stopped:
            return
        waiting = self._under_way.pop((table, oid), None)
        if waiting is not None:
            waiting.cancel()
        request = self._request(table, oid)
        if request is None:
            return
        if not request:
            self._again(table, oid)
            return

        began = self._cloud.state.index

        def done(answer: Answer) -> None:
            self._answered(table, oid, answer, began)

        self._under_way[table, oid] = self._prober.probe(request, PROBE_SECONDS, done)

    def _request(self, table: str, oid: int) -> dict[str, Any] | None:
        """None when it is gone or left to its agent, empty when it is not to be looked at now."""
        value = self._cloud.state.pools[table].parsed(oid)
        # One that was just enabled is asked all the same: that brings it what has changed of our drivers.
        if isinstance(value, Host) and value.state != HostState.INIT and self._has_agent(value):
            return None
        return _REQUESTS[table](self._cloud, oid)

    def _again(self, table: str, oid: int) -> None:
        period = self._periods[table]
        self._under_way[table, oid] = self._after(period, lambda: self._look(table, oid))

    def _answered(self, table: str, oid: int, answer: Answer, began: int) -> None:
        if self._stopped:
            return
        try:
            if table == "host_pool":
                self._take_host(oid, answer, began)
            elif table == "marketplace_pool":
                self._take_market(oid, answer)
            else:
                self._take_datastore(oid, answer)
        except Exception:
            log.exception("what was measured of %s %d could not be taken in", table, oid)
        self._again(table, oid)

    def _take_host(self, oid: int, answer: Answer, began: int) -> None:
        if not answer.ok:
            self._failures[oid] = self._failures.get(oid, 0) + 1
            if self._failures[oid] == PATIENCE:
                self._execute(lambda tx: int(host_monitor.lost(tx, oid, answer.message)))
            return
        self._failures.pop(oid, None)
        report = json.loads(answer.data["report"])
        domains = json.loads(answer.data["domains"])
        known = {domain["vm_id"]: domain for domain in domains if domain["vm_id"] is not None}
        measured = Measured(
            report["total_cpu"],
            report["total_memory"],
            report["attributes"],
            tuple(report["disk"]),
            Found(
                {vm_id: domain["state"] for vm_id, domain in known.items()},
                {domain["deploy_id"]: domain["state"] for domain in domains if domain["vm_id"] is None},
                since=began,
            ),
            topology=Template((name, Vector(vector)) for name, vector in report["topology"]),
        )
        self._execute(lambda tx: int(host_monitor.take(tx, oid, measured)))
        self._note(oid, report, known)

    def _note(self, oid: int, report: dict[str, Any], known: dict[int, dict[str, Any]]) -> None:
        now = self._cloud.now()
        self._keep("host_pool", oid, now, host_document(oid, now, _figures(report)))
        for vm_id, domain in known.items():
            if vm_id in self._cloud.state.pools["vm_pool"].entries and domain["metrics"]:
                self._keep("vm_pool", vm_id, now, vm_document(vm_id, now, domain["metrics"]))

    def _keep(self, table: str, oid: int, now: int, document: str) -> None:
        self._cloud.state.set_monitoring(table, oid, document)
        if self._records is not None:
            self._records.record(table, oid, now, document)

    def _take_datastore(self, oid: int, answer: Answer) -> None:
        if not answer.ok:
            log.warning("datastore %d could not be monitored: %s", oid, answer.message)
            return
        total, used, free = (int(answer.data[name]) for name in ("total", "used", "free"))

        def command(tx: Transaction) -> int:
            datastore.monitored(tx, oid, total, used, free)
            return oid

        self._execute(command)

    def _take_market(self, oid: int, answer: Answer) -> None:
        if not answer.ok:
            log.info("marketplace %d could not be monitored: %s", oid, answer.message)
            return
        total, used, free = (int(answer.data[name]) for name in ("total", "used", "free"))
        apps = answer.data["apps"]
        self._execute(lambda tx: int(marketplace_app.monitored(tx, oid, total, used, free, apps)))

    def _execute(self, command: Callable[[Transaction], int]) -> None:
        self._cloud.execute(command, Inputs(internal=True))


def _host_request(cloud: Cloud, oid: int) -> dict[str, Any] | None:
    """None when the host is gone, empty when it is not to be looked at."""
    host = cloud.state.pools["host_pool"].parsed(oid)
    if not isinstance(host, Host):
        return None
    if host.state == HostState.OFFLINE:
        return {}
    request = {"probe": "report", "host": host.name, "vm_mad": host.vm_mad}
    # A host that was enabled gets anew what it lacks of this release and of the administrator's files.
    return {**request, "renew": True} if host.state == HostState.INIT else request


def _store_request(cloud: Cloud, oid: int) -> dict[str, Any] | None:
    entry = cloud.state.pools["datastore_pool"].entries.get(oid)
    return None if entry is None else {"probe": "monitor", "datastore": entry.body}


def _market_request(cloud: Cloud, oid: int) -> dict[str, Any] | None:
    """None when the marketplace is gone, empty for one of another zone."""
    market = cloud.state.pools["marketplace_pool"].parsed(oid)
    if not isinstance(market, Marketplace):
        return None
    here = market.zone_id == str(cloud.settings.zone_id)
    return {"probe": "market", "market": market.to_xml()} if here else {}


_REQUESTS = {
    "host_pool": _host_request,
    "datastore_pool": _store_request,
    "marketplace_pool": _market_request,
}


def _figures(report: dict[str, Any]) -> dict[str, int]:
    return {
        "FREE_CPU": max(report["total_cpu"] - report["used_cpu"], 0),
        "FREE_MEMORY": max(report["total_memory"] - report["used_memory"], 0),
        "USED_CPU": report["used_cpu"],
        "USED_MEMORY": report["used_memory"],
        "NETRX": report["net_rx"],
        "NETTX": report["net_tx"],
    }
