"""Drivers of third parties: executables `remotes/ipam/<name>/<action>` under the cloud's home.

Each is given the number of its request, and IPAM_DRIVER_ACTION_DATA in base64 on standard input: the range
as AR, and the addresses as ADDRESS. What it prints is a template: AR of a range that it registered, ADDRESS
of what it gave. Its exit status says whether it did (spec drivers.yaml `ipam`).
"""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.ipam.base import Attributes, lease_of
from merope.model.document import cdata
from merope.model.template import Template, TemplateError, Vector

SECONDS: Final = 60.0
_OUTPUT_LIMIT: Final = 64 * 1024


class ExecutableManager:
    """`directory` holds the executables; `request` is the number that they are told."""

    def __init__(self, directory: Path, request: int = 0) -> None:
        self._directory = directory
        self._request = request

    def register(self, attributes: Attributes) -> dict[str, str]:
        return dict(self._printed("register_address_range", attributes, None, "AR"))

    def unregister(self, attributes: Attributes) -> None:
        self._run("unregister_address_range", attributes, None)

    def allocate(self, attributes: Attributes, index: int, size: int) -> None:
        self._run("allocate_address", attributes, _address(attributes, index, size))

    def get(self, attributes: Attributes, size: int) -> dict[str, str]:
        return dict(self._printed("get_address", attributes, {"SIZE": str(size)}, "ADDRESS"))

    def free(self, attributes: Attributes, index: int, size: int) -> None:
        # 5.12 frees addresses one by one.
        for number in range(index, index + size):
            self._run("free_address", attributes, _address(attributes, number, 1))

    def _printed(
        self, action: str, attributes: Attributes, address: Mapping[str, str] | None, name: str
    ) -> Vector:
        text = self._run(action, attributes, address)
        try:
            found = Template.parse(text).vector(name)
        except TemplateError as error:
            raise DriverError(f"{self._directory.name}/{action} printed no template: {error}") from error
        if found is None:
            raise DriverError(f"{self._directory.name}/{action} printed no {name} = [ … ]")
        return found

    def _run(self, action: str, attributes: Attributes, address: Mapping[str, str] | None) -> str:
        path = self._directory / action
        if not path.is_file() or not os.access(path, os.X_OK):
            raise DriverError(f"the address management {self._directory.name} has no executable {action}")
        inner = _element("AR", attributes) + ("" if address is None else _element("ADDRESS", address))
        document = f"<IPAM_DRIVER_ACTION_DATA>{inner}</IPAM_DRIVER_ACTION_DATA>"
        done = commands.run(
            [str(path), str(self._request)],
            timeout=SECONDS,
            input=base64.b64encode(document.encode()).decode(),
            output_limit=_OUTPUT_LIMIT,
        )
        return done.stdout


def _address(attributes: Attributes, index: int, size: int) -> dict[str, str]:
    return {**lease_of(attributes, index), "SIZE": str(size)}


def _element(tag: str, attributes: Mapping[str, str]) -> str:
    inner = "".join(f"<{name}>{cdata(text)}</{name}>" for name, text in sorted(attributes.items()))
    return f"<{tag}>{inner}</{tag}>"
