"""Questions to drivers that change nothing of ours: a host's report, the size of a path, free addresses."""

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

from merope.drivers import registry
from merope.drivers.auth.base import AuthDriver, Places, Refused
from merope.drivers.errors import DriverError
from merope.drivers.ssh import UnreachableError
from merope.engine.job import Answer
from merope.engine.plans import Drivers
from merope.engine.remote import Remote, package
from merope.model import addressing
from merope.model.authentication import Credentials
from merope.model.datastore import Datastore
from merope.model.marketplace import Marketplace
from merope.model.states import DatastoreType


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
    # The driver of a system datastore is the one that has storage of the same kind for images.
    pooled = datastore.type == DatastoreType.SYSTEM_DS and datastore.tm_mad in registry.POOLED_DATASTORES
    name = datastore.tm_mad if pooled else datastore.ds_mad
    usage = drivers.datastore(name).monitor(datastore)
    return {name: str(value) for name, value in _shallow(usage).items()}


def _market(drivers: Drivers, request: dict[str, Any]) -> dict[str, str]:
    market = Marketplace.from_xml(request["market"])
    found = _shallow(drivers.market(market.market_mad).monitor(market))
    return {**{name: str(value) for name, value in found.items()}, "apps": json.dumps(found["apps"])}


def _ipam(drivers: Drivers, request: dict[str, Any]) -> dict[str, str]:
    """Asks for addresses, or for a range (core/ipam.py): what changes is the manager's to know."""
    attributes, size = request["attributes"], request["size"]
    manager = drivers.ipam(attributes["IPAM_MAD"], request["request"])
    if request["action"] == addressing.REGISTER:
        return manager.register(attributes)
    if request["action"] == addressing.GET:
        return manager.get(attributes, size)
    manager.allocate(attributes, request["index"], size)
    return {}


def _prepare(drivers: Drivers, request: dict[str, Any]) -> dict[str, str]:  # noqa: ARG001 - a probe
    """Makes a host ready for workers; asked of the front-end."""
    Remote.from_json(request).prepare(request["host"])
    return {"package": package().digest}


def _authenticate(drivers: Drivers, request: dict[str, Any]) -> dict[str, str]:  # noqa: ARG001 - a probe
    """Asks an authentication driver; a refusal is an answer too."""
    driver = _auth_driver(request["driver"], request["etc"], request["home"])
    try:
        identity = driver.authenticate(Credentials(**request["credentials"]))
    except Refused as reason:
        return {"refused": str(reason)}
    except DriverError:
        raise
    except Exception as error:
        # The text of the error may repeat what was sent.
        raise DriverError(f"the driver failed: {type(error).__name__}") from None
    return {"identity": json.dumps(asdict(identity))}


@cache
def _auth_driver(name: str, etc: str, home: str) -> AuthDriver:
    return registry.auth(name)(Places(Path(etc), Path(home)))


PROBES: dict[str, Callable[[Drivers, dict[str, Any]], dict[str, str]]] = {
    "report": _report,
    "stat": _stat,
    "monitor": _monitor,
    "market": _market,
    "ipam": _ipam,
    "authenticate": _authenticate,
    "prepare": _prepare,
}


def answer(drivers: Drivers, request: dict[str, Any]) -> Answer:
    """The answer to the probe that the request names; what a driver says no to has failed."""
    try:
        return Answer(True, data=PROBES[request["probe"]](drivers, request))
    except DriverError as error:
        unreached = isinstance(error, UnreachableError)
        return Answer(False, str(error), retry_safe=error.retry_safe, unreached=unreached)
