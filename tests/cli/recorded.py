"""A cloud that answers with recorded documents, and a terminal made of strings."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from merope.cli.main import run
from merope.cli.parse import Invocation
from merope.cli.terminal import Terminal
from merope.client import Client, OneError
from merope.client.wire import Result, decode_answer, escape

EXAMPLES = Path(__file__).parents[3] / "shared" / "examples"

Answer = str | int | OneError | Callable[..., str | int]


def recorded(name: str) -> str:
    """A recorded document as it is on the wire: without white space between elements."""
    path = EXAMPLES / f"{name}.xml"
    if not path.exists():
        pytest.skip(f"{path} is absent: the recorded documents stand beside the repository")
    return re.sub(r">\s+<", "><", path.read_text()).strip()


class Call(NamedTuple):
    method: str
    arguments: tuple[Result, ...]


class FakeCloud:
    """A transport: `answers` by method, or by method and first arguments ("one.vm.info", 0)."""

    def __init__(self, answers: dict[object, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.calls: list[Call] = []
        self.sessions: list[str] = []

    def send(self, body: bytes, repeatable: bool) -> bytes:
        call, session = _decode_call(body)
        self.calls.append(call)
        self.sessions.append(session)
        answer = self._answer(call)
        if isinstance(answer, OneError):
            parts = f"{_v(False)}{_v(answer.message)}{_v(answer.code)}{_v(answer.oid)}"
        else:
            parts = f"{_v(True)}{_v(answer)}{_v(0)}"
        return (
            "<methodResponse><params><param><value><array><data>"
            f"{parts}</data></array></value></param></params></methodResponse>"
        ).encode()

    def close(self) -> None:
        pass

    def _answer(self, call: Call) -> str | int | OneError:
        for length in range(len(call.arguments), -1, -1):
            key: object = (call.method, *call.arguments[:length]) if length else call.method
            if _hashable(key) and key in self.answers:
                answer = self.answers[key]
                return answer(*call.arguments) if callable(answer) else answer
        return OneError(1024, f"[{call.method}] Error getting object {call.arguments}.")


def _hashable(key: object) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def _v(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return f"<value><boolean>{value:d}</boolean></value>"
    if isinstance(value, int):
        return f"<value><i4>{value}</i4></value>"
    return f"<value><string>{escape(value)}</string></value>"


def _decode_call(body: bytes) -> tuple[Call, str]:
    """By the client's own decoder: the parameters become one array answer."""
    root = ElementTree.fromstring(body)
    values = "".join(ElementTree.tostring(v, encoding="unicode") for v in root.iterfind("params/param/value"))
    answer = decode_answer(
        f"<methodResponse><params><param><value><array><data>{values}</data></array></value></param></params>"
        "</methodResponse>".encode()
    )
    assert isinstance(answer, list)
    session = answer[0]
    assert isinstance(session, str)
    return Call(root.findtext("methodName", ""), tuple(answer[1:])), session


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


class Screen(Terminal):
    """A terminal of strings; `keys` are the passwords that are typed, `editor` is what the editor does."""

    def __init__(
        self,
        stdin: str = "",
        width: int = 0,
        interactive: bool = False,
        colour: bool = False,
        keys: tuple[str, ...] = (),
        editor: Callable[[str], str] | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            io.StringIO(), io.StringIO(), io.StringIO(stdin), environ or {}, width, interactive, colour
        )
        self.keys = list(keys)
        self.editor = editor
        self.edited: list[str] = []

    def ask_password(self, question: str = "Password: ") -> str:
        return self.keys.pop(0) if self.keys else super().ask_password(question)

    def edit(self, text: str, suffix: str = ".template") -> str | None:
        self.edited.append(text)
        assert self.editor is not None, "nobody expected the editor"
        after = self.editor(text)
        return None if after == text else after


def command(line: str | list[str], cloud: FakeCloud, screen: Screen | None = None) -> Outcome:
    """Run a command line (words separated by blanks, or a list of words)."""
    words = line.split() if isinstance(line, str) else line
    screen = screen or Screen()

    def connect(invocation: Invocation) -> Client:
        user = invocation.options.get("user", "oneadmin")
        password = invocation.options.get("password", "opennebula")
        return Client("http://localhost:2733/RPC2", f"{user}:{password}", cloud)

    code = run(words[0], words[1:], screen, connect)
    assert isinstance(screen.out, io.StringIO)
    assert isinstance(screen.err, io.StringIO)
    return Outcome(code, screen.out.getvalue(), screen.err.getvalue())


__all__ = ["EXAMPLES", "Call", "FakeCloud", "Outcome", "Screen", "command", "recorded"]
