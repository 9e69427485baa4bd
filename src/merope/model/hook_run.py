"""Runs of hooks that are due: an outbox like that of effects, written in the change that they belong to.

A run is cleared in the change that logs what became of it. So a run that is due is never lost; one whose
result was lost is done again.
"""

import json
from dataclasses import dataclass

TABLE = "merope_hook_run"


@dataclass(frozen=True, slots=True)
class HookRun:
    """`id` grows with every run. `arguments` are complete: what $API and $TEMPLATE stand for is in them.

    `remote_host` is the name of the host that the event is about, "" where there is none.
    """

    id: int
    hook: int
    arguments: str = ""
    remote_host: str = ""
    retry: bool = False

    def to_json(self) -> str:
        return json.dumps([self.hook, self.arguments, self.remote_host, self.retry])

    @classmethod
    def from_json(cls, run_id: int, text: str) -> "HookRun":
        hook, arguments, remote_host, retry = json.loads(text)
        return cls(run_id, int(hook), str(arguments), str(remote_host), bool(retry))
