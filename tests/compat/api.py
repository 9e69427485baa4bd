"""The API as a client sees it: every answer whole, with its code and the id that it is about."""

import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

POLLS = 2000
ADMIN = "oneadmin:opennebula"


@contextmanager
def sandbox_with(home: Path, config: str) -> Iterator[str]:
    """A sandbox cloud with an oned.conf of its own; its endpoint."""
    conf = home.parent / "oned.conf"
    conf.write_text(config)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    one = [sys.executable, "-m", "merope.daemon.one"]
    where = ["--home", str(home)]
    options = ["--port", str(port), "--drivers", "dummy", "--config", str(conf)]
    subprocess.run([*one, "start", *where, *options], check=True)
    try:
        yield f"http://127.0.0.1:{port}/RPC2"
    finally:
        subprocess.run([*one, "stop", *where], check=True)


@dataclass(frozen=True)
class Refusal:
    """The failure tuple without its replication index; `code` is a number of the API."""

    code: int
    message: str
    oid: int


class Api:
    """One user's session; make others with `as_user`."""

    def __init__(self, endpoint: str, auth: str = ADMIN) -> None:
        self.endpoint = endpoint
        self.auth = auth
        self._proxy = xmlrpc.client.ServerProxy(endpoint)

    def as_user(self, name: str, password: str = "secret") -> "Api":
        return Api(self.endpoint, f"{name}:{password}")

    def close(self) -> None:
        self._proxy("close")()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *caught: object) -> None:
        self.close()

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """The whole tuple of the answer."""
        answer: Any = getattr(self._proxy, method)(self.auth, *arguments)
        assert isinstance(answer, list)
        assert len(answer) == (3 if answer[0] else 5), answer
        return answer

    def __call__(self, method: str, *arguments: Any) -> Any:
        """The value of a call that must succeed."""
        answer = self.ask(method, *arguments)
        assert answer[0], answer[1]
        return answer[1]

    def refused(self, method: str, *arguments: Any) -> Refusal:
        """The refusal of a call that must be refused; without the method in front of the message."""
        answer = self.ask(method, *arguments)
        assert not answer[0], f"{method} {arguments} was not refused"
        prefix = f"[{method}] "
        assert answer[1].startswith(prefix), answer[1]
        assert answer[4] == -1
        return Refusal(answer[2], answer[1].removeprefix(prefix), answer[3])

    def info(self, kind: str, oid: int) -> Element:
        """The document of an object; `kind` as in one.<kind>.info."""
        return parse(self(f"one.{kind}.info", oid))

    def pool(self, method: str, *arguments: Any) -> Element:
        return parse(self(method, *arguments))

    def ids(self, method: str, *arguments: Any) -> list[int]:
        """The ids of a pool's objects, in its order."""
        objects = [item for item in self.pool(method, *arguments) if "QUOTAS" not in item.tag]
        return [int(item.findtext("ID", "")) for item in objects]

    def wait(self, oid: int, state: int, lcm_state: int = 0) -> Element:
        """The document of a VM once it is in the state."""
        wanted = (state, lcm_state)
        return self.until(
            lambda: self.info("vm", oid), lambda vm: _phase(vm) == wanted, f"VM {oid} in {wanted}"
        )

    def until(self, read: Callable[[], Element], holds: Callable[[Element], bool], what: str) -> Element:
        for _ in range(POLLS):
            document = read()
            if holds(document):
                return document
            time.sleep(0.005)
        raise AssertionError(f"{what} never came about: {ElementTree.tostring(document, 'unicode')[:2000]}")


def parse(text: str) -> Element:
    return ElementTree.fromstring(text)


def _phase(vm: Element) -> tuple[int, int]:
    state, lcm = int(vm.findtext("STATE", "")), int(vm.findtext("LCM_STATE", ""))
    return state, lcm if state == 3 else 0
