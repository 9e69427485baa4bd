"""Calls as a hostile client makes them: any value in any place, raw bodies, and every answer looked at."""

import http.client
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape
from xmlrpc.client import Fault, loads

from merope.core.methods import METHODS, Method, Type
from merope.model.errors import Code

Argument = bool | int | str | list[int] | float
#: What a method may answer to input that it does not take.
FAULTS = {-501, -503, -506, -509}
CODES = {int(code) for code in Code}


@dataclass(frozen=True)
class Answer:
    """A tuple of the API, or a fault with its code; `seconds` from the first byte out to the last one in."""

    success: bool
    value: Any
    code: int
    seconds: float
    length: int = 0
    fault: int = 0


def encode(value: Argument) -> str:
    if isinstance(value, bool):
        return f"<boolean>{int(value)}</boolean>"
    if isinstance(value, int):
        return f"<i4>{value}</i4>" if -(2**31) <= value < 2**31 else f"<i8>{value}</i8>"
    if isinstance(value, float):
        return f"<double>{value}</double>"
    if isinstance(value, list):
        inner = "".join(f"<value>{encode(item)}</value>" for item in value)
        return f"<array><data>{inner}</data></array>"
    return f"<string>{escape(value)}</string>"


def body_of(method: str, arguments: Sequence[Argument]) -> bytes:
    params = "".join(f"<param><value>{encode(value)}</value></param>" for value in arguments)
    call = f"<methodName>{method}</methodName><params>{params}</params>"
    text = f"<?xml version='1.0'?><methodCall>{call}</methodCall>"
    # A lone surrogate goes out as the three bytes that no UTF-8 may hold.
    return text.encode("utf-8", "surrogatepass")


class RawClient:
    """One kept connection; `auth` is "name:secret"."""

    def __init__(self, endpoint: str, auth: str, timeout: float = 60.0) -> None:
        self.place = urlsplit(endpoint)
        self.auth = auth
        self.timeout = timeout
        self.connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes) -> Answer:
        began = time.monotonic()
        for attempt in (1, 2):
            try:
                data = self._exchange(body)
                break
            except (http.client.HTTPException, ConnectionError):
                # The server ends a connection after some refusals: the next call needs a new one.
                self.close()
                if attempt == 2:
                    raise
        return read(data, time.monotonic() - began)

    def _exchange(self, body: bytes) -> bytes:
        if self.connection is None:
            assert self.place.hostname is not None
            self.connection = http.client.HTTPConnection(
                self.place.hostname, self.place.port, timeout=self.timeout
            )
        self.connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
        response = self.connection.getresponse()
        data = response.read()
        assert response.status == 200, (response.status, data[:200])
        return data

    def call(self, method: str, *arguments: Argument) -> Answer:
        return self.send(body_of(method, (self.auth, *arguments)))

    def ok(self, method: str, *arguments: Argument) -> Any:
        """The value of a call that must succeed."""
        answer = self.call(method, *arguments)
        assert answer.success, f"{method} {str(arguments)[:200]}: {answer.value}"
        return answer.value

    def number(self, method: str, *arguments: Argument) -> int:
        return int(self.ok(method, *arguments))

    def text(self, method: str, *arguments: Argument) -> str:
        return str(self.ok(method, *arguments))

    def of(self, name: str, secret: str, uid: int) -> "RawClient":
        """A client of the same cloud for another user."""
        return RawClient(f"http://{self.place.netloc}/RPC2", f"{name}:{secret}", self.timeout)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def read(data: bytes, seconds: float) -> Answer:
    """What a body says; fails when it is neither a tuple of the API nor a fault."""
    assert data.startswith(b"<?xml"), data[:200]
    try:
        (parts,), _ = loads(data)
    except Fault as fault:
        return Answer(False, fault.faultString, 0, seconds, fault=fault.faultCode)
    assert isinstance(parts, list), parts
    assert isinstance(parts[0], bool), parts
    assert len(parts) == (3 if parts[0] else 5), parts
    code = parts[2]
    assert isinstance(code, int)
    return Answer(parts[0], parts[1], code, seconds, len(parts))


def refused_properly(answer: Answer) -> bool:
    """A refusal in one of the forms of the API, and not one that stands for a bug of ours."""
    if answer.fault:
        return answer.fault in FAULTS
    mishap = "the log of the core says more" in str(answer.value)
    return not answer.success and answer.length == 5 and answer.code in CODES and not mishap


def filler(method: Method) -> list[Argument]:
    """Arguments of the right types that name nothing that is there."""
    plain: dict[Type, Argument] = {
        Type.STRING: "nobody-has-this",
        Type.INTEGER: 10**9,
        Type.BOOLEAN: False,
        Type.INTEGER8: 10**9,
        Type.ARRAY: [],
    }
    return [plain[param.type] for param in method.params]


def pools(client: RawClient) -> dict[str, str]:
    """Every pool as the API shows it."""
    whole: dict[str, tuple[Argument, ...]] = {
        "one.vmpool.infoextended": (-2, -1, -1, -2),
        "one.imagepool.info": (-2, -1, -1),
        "one.templatepool.info": (-2, -1, -1),
        "one.vnpool.info": (-2, -1, -1),
        "one.secgrouppool.info": (-2, -1, -1),
    }
    for name, method in METHODS.items():
        if re.fullmatch(r"one\.(\w+pool|acl|\w+quota)\.info", name) and not method.params:
            whole[name] = ()
    return {name: client.text(name, *arguments) for name, arguments in sorted(whole.items())}
