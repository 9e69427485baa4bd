"""No secret that clients send is in an error, on a command line, or in a file but where it is kept."""

import stat
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.compat.conftest import Sandbox
from tests.compat.hostile_templates import make_hosts
from tests.compat.raw_calls import Answer, Argument, RawClient

from merope.core import commands
from merope.core.methods import METHODS
from merope.model import secret_attributes
from merope.model.settings import Settings

__all__ = ["commands"]

pytestmark = pytest.mark.skipif(
    not secret_attributes.is_available(), reason="the package cryptography (extra gate) is not installed"
)
NUMBERS = count(1)
#: Kind → the setting that lists its encrypted attributes.
LISTS = {
    "host": Settings().host_encrypted_attr,
    "cluster": Settings().cluster_encrypted_attr,
    "datastore": Settings().datastore_encrypted_attr,
    "vn": Settings().vnet_encrypted_attr,
    "vm": Settings().vm_encrypted_attr,
    "template": Settings().vm_encrypted_attr,
}
KEPT = {"one.db", "one.db-wal", "one.db-shm"}
"""Files that hold login tokens, which clients are shown again, as 5.12 does."""


class Sent:
    """Calls with secrets in them; what was sent, and every text that was answered to a refused call."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.client = RawClient(sandbox.endpoint, sandbox.auth)
        self.secrets: dict[str, str] = {}
        self.errors: list[str] = []

    def secret(self, what: str) -> str:
        """A word of its own, short enough that a log's first letters of a template hold it."""
        word = f"qk{next(NUMBERS):03}Zw"
        self.secrets[word] = what
        return word

    def call(self, method: str, *arguments: Argument) -> Answer:
        answer = self.client.call(method, *arguments)
        if not answer.success:
            self.errors.append(str(answer.value))
        return answer

    def attribute(self, entry: str) -> str:
        """The attribute with a secret, as templates have it; quoted or not."""
        name, _, key = entry.partition("/")
        word = self.secret(entry)
        if not key:
            return f'{name}="{word}"'
        first = "TYPE=ETHER,SIZE=2," if name == "AR" else ""
        return f"{name}=[{first}{key}={word}]"


@pytest.fixture(scope="module")
def sent(sandbox: Sandbox) -> Iterator[Sent]:
    made = Sent(sandbox)
    make_hosts(made.client)
    yield made
    made.client.close()


def found(sent: Sent) -> list[str]:
    """Where a secret can be read that was sent, and that is not kept there."""
    time.sleep(0.5)  # what the log of calls holds back
    home = sent.sandbox.home
    places = {
        str(path.relative_to(home)): path.read_text("utf-8", "replace")
        for path in home.rglob("*")
        if path.is_file() and path.name not in KEPT
    }
    assert "invoked" in places["oned.log"]
    places["errors"] = "\n".join(sent.errors)
    places["command lines"] = command_lines()
    return [
        f"{what} in {place}"
        for place, text in places.items()
        for secret, what in sent.secrets.items()
        if secret in text
    ]


def command_lines() -> str:
    lines = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            lines += [(path / name).read_text("utf-8", "replace") for name in ("cmdline", "environ")]
        except OSError:
            continue  # it has ended, or is somebody else's
    return "\n".join(line for line in lines if "pytest" not in line)


def test_hidden_parameters(sent: Sent) -> None:
    uid = sent.client.number("one.user.allocate", "quokka", sent.secret("password"), "", [])
    hidden = {name: method for name, method in METHODS.items() if any(p.hidden for p in method.params)}
    assert len(hidden) >= 4
    for name, method in hidden.items():
        for who in ("quokka", "nobody"):
            values: list[Argument] = []
            for param in method.params:
                known: dict[str, Argument] = {
                    "id": uid if who == "quokka" else 99,
                    "name": who,
                    "auth": "",
                    "driver": "core",
                    "groups": [],
                    "period": 3600,
                    "egid": -1,
                }
                values.append(sent.secret(name) if param.hidden else known[param.name])
            sent.call(name, *values)
            bad = [
                f"{sent.secret(name)} x" if param.hidden else value
                for param, value in zip(method.params, values, strict=True)
            ]
            sent.call(name, *bad)
    assert found(sent) == []


def test_sessions(sent: Sent) -> None:
    for auth in (
        f"oneadmin:{sent.secret('password')}",
        f"who:{sent.secret('password')}",
        sent.secret("no colon"),
    ):
        client = RawClient(sent.sandbox.endpoint, auth)
        answer = client.call("one.vm.info", 0)
        client.close()
        assert not answer.success
        sent.errors.append(str(answer.value))
    assert found(sent) == []


@pytest.mark.parametrize(
    ("api", "entry"), [(api, entry) for api, entries in LISTS.items() for entry in entries]
)
def test_attributes_that_are_stored_encrypted(sent: Sent, api: str, entry: str) -> None:
    """In what is written at first and later, as a line and as XML, well and badly."""
    update = {"vm": "one.vm.updateconf", "vn": "one.vn.add_ar"}.get(api, f"one.{api}.update")
    base = {
        "vm": "CPU=0.1\nMEMORY=16",
        "template": f"NAME={api}{next(NUMBERS)}\nCPU=0.1\nMEMORY=16",
        "vn": f"NAME={api}{next(NUMBERS)}\nVN_MAD=dummy\nBRIDGE=b",
    }
    oid = 0
    if api in base:
        tails: dict[str, list[Argument]] = {"vm": [True], "vn": [-1], "template": []}
        answer = sent.call(f"one.{api}.allocate", f"{sent.attribute(entry)}\n{base[api]}", *tails[api])
        assert answer.success, answer.value
        oid = answer.value
        if api == "template":
            sent.client.ok("one.template.instantiate", oid, "", True, sent.attribute(entry), False)
    last: list[Argument] = [] if api in ("vm", "vn") else [1]
    assert sent.call(update, oid, sent.attribute(entry), *last).success
    name, _, key = entry.partition("/")
    inner = f"<{key}>{sent.secret(entry)}</{key}>" if key else sent.secret(entry)
    sent.call(update, oid, f"<A><{name}>{inner}</{name}></A>", *last)
    for bad in (
        f"{sent.attribute(entry)}]",
        sent.attribute(entry).replace("=", "= [", 1),
        f"<A><{name}>{inner}",
    ):
        sent.call(update, oid, bad, *last)
        sent.call(update, 10**6, bad, *last)
    shown = sent.client.text(f"one.{api}.info", oid)
    assert not [word for word in sent.secrets if word in shown]
    assert found(sent) == []
    stored = b"".join(
        (sent.sandbox.home / name).read_bytes() for name in KEPT if (sent.sandbox.home / name).exists()
    )
    assert not [word for word, what in sent.secrets.items() if what == entry and word.encode() in stored]


def test_who_may_read_what_holds_secrets(sent: Sent) -> None:
    home = sent.sandbox.home
    paths = [path for path in home.rglob("*") if path.is_file()]
    assert {"one.db", "one_auth", "one_key", "oned.log"} <= {path.name for path in paths}
    assert [str(path) for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_the_clouds_own_secrets_are_in_their_files_only(sent: Sent) -> None:
    keys = sent.sandbox.home / ".one"
    own = {path.read_text().strip().rpartition(":")[2]: path.name for path in keys.glob("*_auth")}
    own = {word: name for word, name in own.items() if name != "one_auth"}
    own[(keys / "one_key").read_text().strip()] = "one_key"
    assert len(own) > 1
    texts = {
        path.name: path.read_text("utf-8", "replace")
        for path in sent.sandbox.home.rglob("*")
        if path.is_file() and path.parent != keys
    }
    texts["command lines"] = command_lines()
    texts["configuration"] = sent.client.text("one.system.config")
    assert [
        (name, place) for word, name in own.items() for place, text in texts.items() if word in text
    ] == []
