"""A cloud whose hosts fail: what tests of their recovery start from."""

from collections.abc import Mapping
from typing import Any

from tests.core.vm_world import NODE0, NODE1, Cloud

from merope.core import host_monitor, host_recovery, results
from merope.core.host_monitor import Found, Measured
from merope.core.transaction import SYSTEM
from merope.model.host import Host
from merope.model.host_failure import HostFailure, Stage
from merope.model.settings import Settings
from merope.model.template import Vector
from merope.model.vm import VM

__all__ = ["NODE0", "NODE1", "OWN_STORAGE", "FailingCloud"]


#: The system datastore of tests is on storage that only its host sees.
OWN_STORAGE: dict[str, Any] = {
    "tm_mad_conf": {**Settings().tm_mad_conf, "dummy": {"NAME": "dummy", "SHARED": "NO"}}
}


class FailingCloud(Cloud):
    """Hosts 0 and 1, which have a controller; VM 0 runs on host 0. SETTLE is 30 seconds, a cycle 60."""

    def __init__(self, *, fencing: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        if fencing:
            for host in (NODE0, NODE1):
                self.call(0, "one.host.update", host, "FENCING=[DRIVER=dummy]", 1)
        assert self.running() == 0

    def lose(self, host: int) -> None:
        tx = self.transaction(SYSTEM)
        host_monitor.lost(tx, host, "no answer")
        self.commit(tx)

    def hear(
        self,
        host: int,
        vms: Mapping[int, str] | None = None,
        *,
        since: int | None = None,
        complete: bool = True,
    ) -> None:
        """The host answers; `vms` are its domains."""
        tx = self.transaction(SYSTEM)
        found = Found(dict(vms or {}), complete=complete, since=since)
        measured = Measured(400, 4 << 20, {}, (1, 0, 1), found)
        host_monitor.take(tx, host, measured)
        self.commit(tx)

    def order(self, host: int, what: str = "migrate", *more: Any) -> None:
        self.call(0, "one.host.recover", host, what, *more)

    def wait(self, seconds: int, *hosts: int) -> None:
        """Time passes, and what is due then is done, for these hosts or all that there are."""
        self.now += seconds
        for host in hosts or tuple(self.state.host_failures):
            tx = self.transaction(SYSTEM)
            host_recovery.proceed(tx, host)
            self.commit(tx)

    def fenced(self, ok: bool = True, message: str = "", **data: str) -> None:
        """The controllers answer."""
        found = data or ({"power": "off", "by": "dummy"} if ok else {})
        for effect in self.effects("host.fence"):
            tx = self.transaction(SYSTEM)
            results.take_result(tx, effect.id, ok, message, found)
            self.commit(tx)

    def switched_off(self, host: int, what: str = "migrate", *more: Any) -> None:
        """The host fails, is waited for, and is off."""
        self.lose(host)
        self.order(host, what, *more)
        self.wait(30)
        self.fenced()

    def failure(self, host: int) -> HostFailure:
        return self.state.host_failures[host]

    def stage(self, host: int) -> Stage:
        return self.failure(host).stage

    def shown(self, host: int) -> Vector:
        """What the host's document says of its failure."""
        found = self.get(Host, host).template.vector("FAILURE")
        assert found is not None
        return found

    def said(self, vm: int) -> str:
        """What is wrong with a VM, by its document."""
        return self.get(VM, vm).user_template.get("ERROR").partition(" : ")[2]

    def placed(self, vm: int) -> int:
        return self.records(vm)[-1].hid
