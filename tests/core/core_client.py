"""A core in memory, called as a client calls the API."""

from dataclasses import replace
from typing import Any

from tests.compat.raw_calls import Answer, Argument
from tests.core.vm_world import Cloud

from merope.core.ipam import Asked
from merope.core.transaction import Caller, Transaction
from merope.model.errors import ApiError


class Attacked(Cloud):
    """It knows its finished VMs, as the database does."""

    def transaction(self, caller: Caller, **prepared: str | int) -> Transaction:
        tx = super().transaction(caller, **prepared)
        finished = [entry for _, entry in sorted(self.finished.items())]
        return Transaction(self.state, replace(tx.context, archived_vms=finished))


class CoreClient:
    """A user of a core in memory."""

    def __init__(self, cloud: Cloud, uid: int, auth: str) -> None:
        self.cloud = cloud
        self.uid = uid
        self.auth = auth

    def call(self, method: str, *arguments: Argument) -> Answer:
        caller = self.cloud.caller(self.uid)
        try:
            value = self.cloud.call(caller, method, *arguments)
        except ApiError as error:
            return Answer(False, error.message, int(error.code), 0)
        except Asked:
            return Answer(False, "there is no address manager that could be asked", 0, 0)
        return Answer(True, value, 0, 0)

    def ok(self, method: str, *arguments: Argument) -> Any:
        answer = self.call(method, *arguments)
        assert answer.success, f"{method} {arguments}: {answer.value}"
        return answer.value

    def number(self, method: str, *arguments: Argument) -> int:
        return int(self.ok(method, *arguments))

    def of(self, name: str, secret: str, uid: int) -> "CoreClient":
        return CoreClient(self.cloud, uid, f"{name}:{secret}")

    def close(self) -> None:
        """Nothing is open."""


def settle(cloud: Cloud) -> None:
    """Drivers do all that they are asked for."""
    for _ in range(12):
        if not cloud.effects():
            return
        cloud.now += 10
        cloud.answer(source="/img/x", format="raw", size="10", hypervisor_id="snap")
