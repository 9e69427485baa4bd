"""Calls as goca sends them: the bytes of its XML-RPC library, its headers, its templates; and its answers."""

import http.client
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit
from xmlrpc.client import loads

import pytest
from tests.compat import goca
from tests.compat.goca import Template, Vector

NO_EXISTS = 0x400
POLLS = 4000
#: encoding/xml writes these so.
ESCAPES = {
    '"': "&#34;",
    "'": "&#39;",
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "\t": "&#x9;",
    "\n": "&#xA;",
}
Argument = bool | int | str | list[int]


class ResponseError(Exception):
    """goca's error for a refusal: `code` is what Terraform's NoExists looks at."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def encode(value: Argument) -> str:
    if isinstance(value, bool):
        return f"<value><boolean>{int(value)}</boolean></value>"
    if isinstance(value, int):
        return f"<value><int>{value}</int></value>"
    if isinstance(value, list):
        return f"<value><array><data>{''.join(map(encode, value))}</data></array></value>"
    return f"<value><string>{''.join(ESCAPES.get(letter, letter) for letter in value)}</string></value>"


def body_of(method: str, arguments: Iterable[Argument]) -> bytes:
    params = "".join(f"<param>{encode(value)}</param>" for value in arguments)
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    text = f"{head}<methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>"
    return text.encode()


def read_answer(body: bytes) -> Any:
    """What goca has of a body: a number or a text; raises ResponseError for a refusal."""
    text = body.decode()
    assert "<![CDATA[" not in text.replace("&lt;", ""), "goca's library reads a text in one part only"
    assert "<string></string>" not in text, "goca takes an empty text for no answer"
    (parts,), _ = loads(body)
    assert isinstance(parts, list)
    success, value, code = parts[:3]
    assert isinstance(success, bool)
    assert isinstance(code, int)
    if not success:
        raise ResponseError(code, str(value))
    return value


class GoClient:
    """One kept connection, as Go's pooled transport has it."""

    def __init__(self, endpoint: str, token: str) -> None:
        self.endpoint = endpoint
        self.token = token
        place = urlsplit(endpoint)
        assert place.hostname is not None
        self.connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)

    def __call__(self, method: str, *arguments: Argument) -> Any:
        # goca sets no Content-Type.
        headers = {"User-Agent": "Go-http-client/1.1"}
        self.connection.request("POST", "/RPC2", body_of(method, (self.token, *arguments)), headers)
        response = self.connection.getresponse()
        assert response.status // 100 == 2, response.status
        return read_answer(response.read())

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *caught: object) -> None:
        self.close()

    def id(self, method: str, *arguments: Argument) -> int:
        value = self(method, *arguments)
        assert isinstance(value, int)
        return value

    def info(self, kind: str, oid: int, *more: Argument) -> dict[str, Any]:
        """The fields of an object; `kind` is a key of INFO."""
        method, schema = INFO[kind]
        return goca.read(self(method, oid, *(more or (False,))), schema)

    def pool(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind, as `Info()` of a controller without arguments asks for them."""
        pool = POOLS[kind]
        elements = goca.read(self(pool.method, *pool.arguments), pool.schema)[pool.element]
        assert isinstance(elements, list)
        return elements

    def by_name(self, kind: str, name: str) -> int | None:
        """The id as `ByName` finds it in the whole pool: None for "resource not found"."""
        found = [each["ID"] for each in self.pool(kind) if each["NAME"] == name]
        assert len(found) < 2, f"multiple resources with the name {name}"
        return int(found[0]) if found else None

    def is_gone(self, kind: str, oid: int) -> bool:
        try:
            self.info(kind, oid)
        except ResponseError as e:
            if e.code != NO_EXISTS:
                raise
            return True
        return False

    def until(
        self, kind: str, oid: int, holds: Callable[[dict[str, Any]], bool], meanwhile: Callable[[Any], bool]
    ) -> dict[str, Any]:
        """Reads until it holds; every earlier reading must be one that the client takes for a passing one."""
        for _ in range(POLLS):
            fields = self.info(kind, oid)
            if holds(fields):
                return fields
            assert meanwhile(fields), {
                name: fields[name] for name in ("STATE", "LCM_STATE") if name in fields
            }
        raise AssertionError(f"{kind} {oid} never came there: {fields}")


@dataclass(frozen=True)
class Pool:
    method: str
    schema: str
    element: str
    arguments: tuple[int, ...] = ()


INFO = {
    "cluster": ("one.cluster.info", "cluster"),
    "datastore": ("one.datastore.info", "datastore"),
    "document": ("one.document.info", "document"),
    "group": ("one.group.info", "group"),
    "hook": ("one.hook.info", "hook"),
    "host": ("one.host.info", "host"),
    "image": ("one.image.info", "image"),
    "market": ("one.market.info", "marketplace"),
    "marketapp": ("one.marketapp.info", "marketplaceapp"),
    "secgroup": ("one.secgroup.info", "security_group"),
    "template": ("one.template.info", "vmtemplate"),
    "user": ("one.user.info", "user"),
    "vdc": ("one.vdc.info", "vdc"),
    "vm": ("one.vm.info", "vm"),
    "vmgroup": ("one.vmgroup.info", "vm_group"),
    "vn": ("one.vn.info", "vnet"),
    "vntemplate": ("one.vntemplate.info", "vntemplate"),
    "vrouter": ("one.vrouter.info", "vrouter"),
    "zone": ("one.zone.info", "zone"),
}
ALL = (-2, -1, -1)
#: What goca asks for a whole pool.
_ASKED: dict[str, tuple[int, ...]] = {
    "document": (*ALL, 100),
    "hook": ALL,
    "image": ALL,
    "marketapp": ALL,
    "secgroup": ALL,
    "template": ALL,
    "vm": (*ALL, -1),
    "vmgroup": ALL,
    "vn": ALL,
    "vntemplate": ALL,
    "vrouter": ALL,
}
POOLS = {
    kind: Pool(f"one.{kind}pool.info", f"{schema}_pool", schema.upper(), _ASKED.get(kind, ()))
    for kind, (_, schema) in INFO.items()
}


def quote(text: str) -> str:
    """strconv.Quote, for text that goca quotes so: printable, in one line."""
    assert not re.search("[\x00-\x1f`]", text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def pair(name: str, value: str | int | float) -> str:
    """A pair as goca writes it: floats with six places."""
    text = f"{value:f}" if isinstance(value, float) else str(value)
    return f"{name.upper()}={quote(text)}"


def vector(name: str, **values: str | int | float) -> str:
    return vector_of(Vector(name, [(key, _text(value)) for key, value in values.items()]))


def _text(value: str | int | float) -> str:
    return f"{value:f}" if isinstance(value, float) else str(value)


def vector_of(read: Vector) -> str:
    """A vector in goca's text: one pair a line, indented, ` ]` behind the last."""
    inner = ",\n".join("    " + pair(name, value) for name, value in read.pairs)
    return f"{read.name.upper()}=[\n{inner} ]"


def text_of(read: Template) -> str:
    """A template that was read, as goca writes it back."""
    vectors = [vector_of(Vector(name, pairs)) for name, pairs in read.vectors]
    return "\n".join([*(pair(name, value) for name, value in read.pairs), *vectors])


@contextmanager
def refused(code: int, words: str = "") -> Iterator[None]:
    """The call within must be refused with the code (and the words)."""
    with pytest.raises(ResponseError) as caught:
        yield
    assert caught.value.code == code, hex(caught.value.code)
    assert words in str(caught.value)
