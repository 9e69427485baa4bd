"""The single steps of a plan's transfers: shown without being done, or done one at a time.

A plan is gone through as ever, with drivers that only write down what they are asked; the one step that is
wanted is done. What else a plan asks for (guests, networks) is left out, but no guest may run meanwhile.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from merope.drivers.carrier import Carrier
from merope.drivers.context import Context
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.network.base import NetworkDriver
from merope.drivers.replicas import Replicas
from merope.drivers.transfer.base import Place, Transfer
from merope.engine.job import Answer, Job
from merope.engine.plans.base import Drivers
from merope.engine.plans.stages import Stage
from merope.model.vm import VM

_LOOKS = frozenset({"has", "names", "disk_size", "image_target"})
"""They change nothing, and what comes next may depend on them."""


def go_in_steps(stage: Stage, drivers: Drivers, job: Job, wanted: str) -> Answer:
    """Answers the stage's steps as they are now (`steps`, JSON), and whether the `wanted` one was `done`."""
    stepped = _Stepped(drivers, wanted)
    try:
        stage.do(cast("Drivers", stepped), job)
    except DriverError as error:
        return Answer(False, str(error), retry_safe=error.retry_safe)
    return Answer(True, data={"steps": json.dumps(stepped.steps), "done": "yes" if stepped.done else ""})


class _Stepped:
    """The drivers of a plan that does one of its steps, or none."""

    def __init__(self, drivers: Drivers, wanted: str) -> None:
        self._drivers, self._wanted = drivers, wanted
        self.steps: list[str] = []
        self.done = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._drivers, name)

    def transfer(self, name: str, system: str = "") -> Transfer:
        return cast("Transfer", _Noting(self, name, self._drivers.transfer(name, system)))

    @property
    def carrier(self) -> Carrier:
        return cast("Carrier", _Noting(self, "carrier", self._drivers.carrier))

    @property
    def replicas(self) -> Replicas:
        return cast("Replicas", _Noting(self, "replicas", self._drivers.replicas))

    def hypervisor(self, name: str, host: str, vm: VM | None = None) -> Hypervisor:
        return cast("Hypervisor", _Looking(self._drivers.hypervisor(name, host, vm)))

    def network(self, name: str, host: str) -> NetworkDriver:  # noqa: ARG002 - none is asked
        return cast("NetworkDriver", _Looking(None))

    def step(self, text: str, do: Callable[[], object]) -> None:
        self.steps.append(text)
        if text == self._wanted and not self.done:
            do()
            self.done = True


class _Noting:
    def __init__(self, stepped: _Stepped, name: str, real: object) -> None:
        self._stepped, self._name, self._real = stepped, name, real

    def __getattr__(self, call: str) -> Any:
        value = getattr(self._real, call)
        if call == "for_disk":
            return lambda disk: _Noting(self._stepped, self._name, value(disk))
        if call in _LOOKS or not callable(value):
            return value

        def noted(*words: Any, **options: Any) -> None:
            shown = " ".join(map(_shown, words))
            self._stepped.step(f"{self._name} {call} {shown}", lambda: value(*words, **options))

        return noted


class _Looking:
    """A driver that is asked what is, and nothing else."""

    def __init__(self, real: Hypervisor | None) -> None:
        self._real = real

    def __getattr__(self, call: str) -> Any:
        if call == "domains" and self._real is not None:
            return self._real.domains
        return lambda *_: None


def _shown(word: object) -> str:
    if isinstance(word, Place):
        return f"{word.host or 'front-end'}:{word.path}"
    if isinstance(word, Context):
        return "CONTEXT"  # it may hold passwords
    if isinstance(word, Path | str | int):
        return str(word) or "-"
    return json.dumps(dict(word)) if isinstance(word, Mapping) else type(word).__name__
