"""Questions to drivers that change nothing: a host's report, the size of a path, a datastore's usage."""

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from merope.drivers.errors import DriverError
from merope.engine.job import Answer
from merope.engine.plans import Drivers
from merope.model.datastore import Datastore
from merope.model.marketplace import Marketplace


def _shallow(instance: Any) -> dict[str, Any]:
    """The fields by name; `dataclasses.asdict` copies what they hold, at ten times the cost."""
    return {field.name: getattr(instance, field.name) for field in fields(instance)}


def _report(drivers: Drivers, request: dict[str, Any]) -> dict[str, str]:
    hypervisor = drivers.hypervisor(request["vm_mad"], request["host"])
    report = _shallow(hypervisor.report())
    domains = [{**_shallow(domain), "state": domain.state.value} for domain in hypervisor.domains()]
    return {"report": json.dumps(report), "domains": json.dumps(domains)}


def _stat(drivers: Drivers, request: dict[str, Any]) -> dict[str, str]:
    datastore = Datastore.from_xml(request["datastore"])
    return {"size": str(drivers.datastore(datastore.ds_mad).stat(request["path"], datastore))}


def _monitor(drivers: Drivers, request: dict[str, Any]) -> dict[str, str]:
    datastore = Datastore.from_xml(request["datastore"])
    usage = drivers.datastore(datastore.ds_mad).monitor(datastore)
    return {name: str(value) for name, value in _shallow(usage).items()}


def _market(drivers: Drivers, request: dict[str, Any]) -> dict[str, str]:
    market = Marketplace.from_xml(request["market"])
    found = _shallow(drivers.market(market.market_mad).monitor(market))
    return {**{name: str(value) for name, value in found.items()}, "apps": json.dumps(found["apps"])}


PROBES: dict[str, Callable[[Drivers, dict[str, Any]], dict[str, str]]] = {
    "report": _report,
    "stat": _stat,
    "monitor": _monitor,
    "market": _market,
}


def answer(drivers: Drivers, request: dict[str, Any]) -> Answer:
    """The answer to the probe that the request names; what a driver says no to has failed."""
    try:
        return Answer(True, data=PROBES[request["probe"]](drivers, request))
    except DriverError as error:
        return Answer(False, str(error), retry_safe=error.retry_safe)
