"""A core without a door and a store: commands run on transactions whose changes are applied to a State."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import unescape

import pytest
from tests import method_tests
from tests.core.schemas import check_schema as check_schema

import merope.core.commands  # noqa: F401 - declaring a method takes importing its module
from merope.core import login, results
from merope.core.bootstrap import bootstrap
from merope.core.execute import execute
from merope.core.methods import METHODS
from merope.core.transaction import SYSTEM, Caller, Context, Transaction
from merope.model import passwords
from merope.model.document import Document
from merope.model.effect import Effect
from merope.model.errors import ApiError, Code
from merope.model.kinds import BY_DOCUMENT
from merope.model.settings import Settings
from merope.model.state import State

SHARED = Path(__file__).resolve().parents[3] / "shared"
START = 1_795_226_169

D = TypeVar("D", bound=Document)


class Core:
    """A cloud in memory: `call` a method as somebody, `get` what came of it, `answer` its effects."""

    def __init__(self, *, sandbox: bool = True, **settings: Any) -> None:
        self.settings = replace(Settings(), password_kdf_cost=1, **settings)
        self.state = State()
        self.now = START
        self._random = random.Random(7)
        self.index = 0
        tx = self.transaction(SYSTEM)
        stored = passwords.hash_password("opennebula", b"s" * passwords.SALT_BYTES, 1)
        bootstrap(tx, stored, sandbox=sandbox, serveradmin_secret="0" * 64)
        self.commit(tx)

    def transaction(self, caller: Caller, **prepared: str | int) -> Transaction:
        context = Context(
            now=self.now,
            caller=caller,
            settings=self.settings,
            random=self._random.randbytes,
            prepared=dict(prepared),
        )
        return Transaction(self.state, context)

    def commit(self, tx: Transaction) -> None:
        self.index += 1
        change, parsed = tx.commit(self.index)
        self.state.apply(change, parsed)

    def caller(self, who: Caller | int) -> Caller:
        if isinstance(who, Caller):
            return who
        found = login.caller(self.state, self.settings, who)
        assert found is not None, f"there is no user {who}"
        return found

    def call(self, who: Caller | int, name: str, *arguments: Any, **prepared: str | int) -> Any:
        """The method's result, documents as text; raises ApiError, and then nothing has changed."""
        declared = METHODS[name]
        missing = declared.params[len(arguments) :]
        assert all(param.default is not ... for param in missing), f"{name} takes more arguments"
        tx = self.transaction(self.caller(who), **prepared)
        try:
            result = execute(tx, declared, [*arguments, *(param.default for param in missing)])
        except ApiError:
            tx.abandon()
            method_tests.note(name, method_tests.REFUSES)
            raise
        self.commit(tx)
        method_tests.note(name, method_tests.ANSWERS)
        return unescape(result.decode()) if isinstance(result, bytes) else result

    def fails(self, who: Caller | int, name: str, *arguments: Any, **prepared: str | int) -> ApiError:
        """The error of a call that must be refused; that it has changed nothing is checked here, for all."""
        before = self.picture()
        with pytest.raises(ApiError) as caught:
            self.call(who, name, *arguments, **prepared)
        assert self.picture() == before, f"{name} was refused and changed something"
        return caught.value

    def get(self, kind: type[D], oid: int) -> D:
        found = self.state.pool(BY_DOCUMENT[kind]).parsed(oid)
        assert isinstance(found, kind), f"there is no {kind.__name__} {oid}"
        return found

    def exists(self, kind: type[Document], oid: int) -> bool:
        return oid in self.state.pool(BY_DOCUMENT[kind]).entries

    def effects(self, op: str = "") -> list[Effect]:
        return [effect for _, effect in sorted(self.state.effects.items()) if effect.op.startswith(op)]

    def answer(self, ok: bool = True, message: str = "", op: str = "", **data: str) -> None:
        """Answers every effect that waits."""
        for effect in self.effects(op):
            tx = self.transaction(SYSTEM)
            results.take_result(tx, effect.id, ok, message, data)
            self.commit(tx)

    def picture(self) -> dict[str, Any]:
        """Everything that is stored, to be compared."""
        pools = {
            table: {oid: entry.body for oid, entry in pool.entries.items()}
            for table, pool in self.state.pools.items()
        }
        quotas = [
            {oid: quota.to_xml(oid) for oid, quota in held.items()}
            for held in (self.state.user_quotas, self.state.group_quotas)
        ]
        rules = [rule.to_xml() for rule in self.state.rules]
        parsed = {
            table: {oid: found.to_xml() for oid in pool.entries if (found := pool.parsed(oid)) is not None}
            for table, pool in self.state.pools.items()
        }
        return {
            "pools": pools,
            "parsed": parsed,
            "quotas": quotas,
            "rules": rules,
            "effects": dict(self.state.effects),
            "attributes": dict(self.state.attributes),
        }

    def user(self, name: str, *groups: int, password: str = "secret") -> int:
        oid = self.call(0, "one.user.allocate", name, password, "", list(groups))
        assert isinstance(oid, int)
        return oid


@pytest.fixture
def core() -> Core:
    return Core()


def example(name: str) -> Element:
    """A recorded document, without the white space of its indentation."""
    path = SHARED / "examples" / name
    if not path.exists():
        pytest.skip(f"{name} of ../shared/examples is not there")
    return ElementTree.fromstring("".join(line.strip() for line in path.read_text().splitlines()))


def flat(element: Element) -> list[tuple[str, str]]:
    """Every element with its text, in order: equal for documents that say the same in the same order."""
    return [(part.tag, part.text or "") for part in element.iter()]


def sentence(error: ApiError) -> tuple[Code, str]:
    return error.code, error.message
