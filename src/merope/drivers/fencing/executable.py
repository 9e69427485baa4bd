"""Drivers of third parties: an executable `remotes/fencing/<name>` under the cloud's home.

It is called with a verb, `off` or `status`, and given FENCING_DRIVER_ACTION_DATA in base64 on standard
input: the HOST (ID, NAME) and its FENCING. `status` prints on, off or unknown. An exit status other than 0
says that it could not be done or asked.
"""

import base64
import os
from pathlib import Path
from typing import Final

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import LOOKS, Power, Target
from merope.model.document import cdata

SECONDS: Final = 60.0
_SAYS = {power.value: power for power in Power}


class ExecutableFencing:
    """`path` is the executable."""

    looks = LOOKS

    def __init__(self, path: Path) -> None:
        self._path = path

    def power_off(self, target: Target) -> None:
        self._run(target, "off")

    def power_state(self, target: Target) -> Power:
        return _SAYS.get(self._run(target, "status").strip().lower(), Power.UNKNOWN)

    def _run(self, target: Target, verb: str) -> str:
        if not os.access(self._path, os.X_OK):
            raise DriverError(f"the fencing {self._path.name} cannot be executed: its mode does not allow it")
        inner = "".join(f"<{name}>{cdata(text)}</{name}>" for name, text in sorted(target.attributes.items()))
        document = (
            f"<FENCING_DRIVER_ACTION_DATA><HOST><ID>{target.host_id}</ID><NAME>{cdata(target.host)}</NAME></HOST>"
            f"<FENCING>{inner}</FENCING></FENCING_DRIVER_ACTION_DATA>"
        )
        done = commands.run(
            [str(self._path), verb],
            timeout=SECONDS,
            input=base64.b64encode(document.encode()).decode(),
            output_limit=64 * 1024,
            secrets=[target.secret("PASSWORD")],
        )
        return done.stdout
