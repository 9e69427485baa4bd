"""Effects: what a command wants done in the world, kept in the outbox until its result has come back.

The outbox is a table like any other, written in the change that asks for the effect and cleared in the
change that takes its result. So what is in flight is exactly what the table holds, after any crash.
"""

import json
from dataclasses import dataclass, field

TABLE = "merope_effect"


@dataclass(frozen=True, slots=True)
class Effect:
    """`id` grows with every effect and is the operation's epoch: a host refuses an older one.

    `op` names the operation ("vm.deploy", "image.copy" …), `oid` the object it is for, `host` the host that
    it acts on (-1 for the front-end), `arguments` what else it must know, small and plain.
    """

    id: int
    op: str
    oid: int
    host: int = -1
    arguments: dict[str, str | int] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"op": self.op, "oid": self.oid, "host": self.host, "arguments": self.arguments})

    @classmethod
    def from_json(cls, effect_id: int, text: str) -> "Effect":
        data = json.loads(text)
        return cls(effect_id, data["op"], data["oid"], data["host"], data["arguments"])
