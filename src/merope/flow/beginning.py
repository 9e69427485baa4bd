"""The body of a service that is about to begin, from its template."""

from typing import Any

from merope.flow.service import Json
from merope.flow.states import State

#: What 5.12's clients call them too.
_SHUTDOWN = {"shutdown": "terminate", "shutdown-hard": "terminate-hard"}


def begun(template: Json, shutdown_action: str, now: int) -> Json:
    """`template` is a checked one; `shutdown_action` the server's."""
    roles = [_fresh(role) for role in template["roles"]]
    action = template.get("shutdown_action") or shutdown_action
    return {
        **{key: value for key, value in template.items() if key not in ("log", "failure", "purge")},
        "deployment": template.get("deployment", "none"),
        "shutdown_action": _SHUTDOWN.get(action, action),
        "roles": roles,
        "state": int(State.PENDING),
        "start_time": now,
        "log": [],
    }


_OF_RUN_TIME = ("nodes", "state", "last_vmname", "cooldown_end", "failure")


def _fresh(role: Json) -> Json:
    made: dict[str, Any] = {key: value for key, value in role.items() if key not in _OF_RUN_TIME}
    made["cardinality"] = role.get("cardinality", 1)
    made["state"] = int(State.PENDING)
    made["nodes"] = []
    made["last_vmname"] = 0
    if action := role.get("shutdown_action"):
        made["shutdown_action"] = _SHUTDOWN.get(action, action)
    return made
