"""LXD's REST API over its unix socket (LXD 4.0 and newer, API 1.0)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.unix_http import request

_QUICK = 60.0
_NOT_FOUND = 404


class LxdError(DriverError):
    """What LXD answered; `code` is HTTP's."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Lxd:
    """Calls block. Instances are containers of the project `default`."""

    def __init__(self, path: Path) -> None:
        self.socket = path

    def server(self) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", "")
        return found

    def instances(self) -> list[dict[str, Any]]:
        """All, each with its state."""
        found: list[dict[str, Any]] = self.call("GET", "/instances?recursion=2")
        return [each for each in found if each.get("type") == "container"]

    def instance(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.call("GET", f"/instances/{quote(name, safe='')}")
        except LxdError as error:
            if error.code == _NOT_FOUND:
                return None
            raise
        return found

    def create(self, document: Mapping[str, Any]) -> None:
        self._finish(self.call("POST", "/instances", document), _QUICK)

    def replace(self, name: str, document: Mapping[str, Any]) -> None:
        """The whole of what can be changed; what is not in it any more is taken away."""
        parts = ("architecture", "config", "devices", "ephemeral", "profiles", "description")
        body = {part: document[part] for part in parts if part in document}
        self._finish(self.call("PUT", f"/instances/{quote(name, safe='')}", body), _QUICK)

    def delete(self, name: str) -> None:
        try:
            self._finish(self.call("DELETE", f"/instances/{quote(name, safe='')}"), _QUICK)
        except LxdError as error:
            if error.code != _NOT_FOUND:
                raise

    def act(self, name: str, action: str, seconds: float, *, force: bool = False) -> None:
        """start, stop, restart, freeze, unfreeze. With `force` the container is not asked."""
        body = {"action": action, "timeout": int(seconds), "force": force}
        path = f"/instances/{quote(name, safe='')}/state"
        self._finish(self.call("PUT", path, body), seconds + _QUICK)

    def log(self, name: str) -> str:
        """The last errors of a container's log, in one line."""
        try:
            text = self._text(f"/instances/{quote(name, safe='')}/logs/lxc.log")
        except DriverError:
            return ""
        lines = [line.split(" - ")[-1] for line in text.splitlines() if " ERROR " in line]
        return " / ".join(lines[:3])

    def call(self, method: str, path: str, body: object = None, seconds: float = _QUICK) -> Any:
        """The metadata of the answer; of something that goes on, its operation. Raises LxdError."""
        answer = json.loads(self._request(method, path, body, seconds))
        if answer.get("type") == "error":
            raise LxdError(f"LXD: {answer.get('error')}", int(answer.get("error_code") or 0))
        return answer.get("metadata")

    def _finish(self, operation: Any, seconds: float) -> None:
        """Waits for the end of an operation; what was done at once has none."""
        if not isinstance(operation, dict) or "id" not in operation:
            return
        path = f"/operations/{operation['id']}/wait?timeout={int(seconds)}"
        done = self.call("GET", path, seconds=seconds + _QUICK)
        if done["status_code"] >= 400:
            raise LxdError(f"LXD: {done['err']}", int(done["status_code"]))
        if done["status_code"] != 200:
            raise LxdError(
                f"LXD: {operation.get('description', 'an operation')} took longer than {seconds:.0f} s"
            )

    def _text(self, path: str) -> str:
        return self._request("GET", path, None, _QUICK)

    def _request(self, method: str, path: str, body: object, seconds: float) -> str:
        text = None if body is None else json.dumps(body)
        return request(self.socket, "LXD", method, f"/1.0{path}", text, seconds).body
