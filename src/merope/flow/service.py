"""A service and its roles, as they stand in the BODY of a document of type 100.

Names of the JSON are 5.12's (spec drivers.yaml `oneflow`; seed 002 SR2.8, tables 2.11 and 2.12). Ours are
`failure` (why a role or service waits for a recover), `retries` and `boot` of a node, `replacing` of a role
(so many of the VMs that it makes next are second tries), `purge` and `gently` of a service (its owner may not
delete VMs in whatever state) and `after` of a network; keys that are not known are kept.
"""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from merope.flow.states import State

Json = dict[str, Any]

#: Entries of a service's log that are kept.
LOG_LENGTH = 50


@dataclass(slots=True)
class Node:
    """A VM of a role. `disposed`: it is to end. `boot`: it is to be started again. `info` is `vm_info`."""

    vm_id: int
    info: Json = field(default_factory=dict)
    scale_up: bool = False
    disposed: bool = False
    boot: bool = False
    retries: int = 0

    @classmethod
    def of_json(cls, given: Json) -> "Node":
        return cls(
            int(given["deploy_id"]),
            given.get("vm_info") or {},
            bool(given.get("scale_up")),
            bool(given.get("disposed")),
            bool(given.get("boot")),
            int(given.get("retries") or 0),
        )

    def to_json(self) -> Json:
        flags = {"scale_up": self.scale_up, "disposed": self.disposed, "boot": self.boot}
        more: Json = {name: True for name, value in flags.items() if value}
        if self.retries:
            more["retries"] = self.retries
        return {"deploy_id": self.vm_id, "vm_info": self.info, **more}


@dataclass(slots=True)
class Adjustment:
    """How a policy changes the cardinality (`type` CHANGE, CARDINALITY or PERCENTAGE_CHANGE)."""

    type: str
    adjust: int
    min_adjust_step: int = 0

    def to_json(self) -> Json:
        step = {"min_adjust_step": self.min_adjust_step} if self.min_adjust_step else {}
        return {"type": self.type, "adjust": self.adjust, **step}


@dataclass(slots=True)
class ElasticityPolicy(Adjustment):
    """`period` in seconds; `true_evals` is how often in a row the expression was true until now."""

    expression: str = ""
    period_number: int = 0
    period: int = 0
    cooldown: int | None = None
    true_evals: int = 0
    last_eval: int = 0
    expression_evaluated: str = ""

    @classmethod
    def of_json(cls, given: Json) -> "ElasticityPolicy":
        cooldown = given.get("cooldown")
        return cls(
            *_adjustment(given),
            str(given.get("expression", "")),
            int(given.get("period_number") or 0),
            int(given.get("period") or 0),
            None if cooldown is None else int(cooldown),
            int(given.get("true_evals") or 0),
            expression_evaluated=str(given.get("expression_evaluated") or ""),
        )

    def to_json(self) -> Json:
        made: Json = {**Adjustment.to_json(self), "expression": self.expression}
        # last_eval is not: a service would be stored at each evaluation. It is evaluated anew after a start.
        optional = ("period_number", "period", "true_evals", "expression_evaluated")
        made.update((name, value) for name in optional if (value := getattr(self, name)))
        if self.cooldown is not None:
            made["cooldown"] = self.cooldown
        return made


@dataclass(slots=True)
class ScheduledPolicy(Adjustment):
    """`recurrence` in cron's syntax or one `start_time`; it was followed until `last_eval` (epoch)."""

    recurrence: str = ""
    start_time: str = ""
    last_eval: int = 0

    @classmethod
    def of_json(cls, given: Json) -> "ScheduledPolicy":
        return cls(
            *_adjustment(given),
            str(given.get("recurrence") or ""),
            str(given.get("start_time") or ""),
            int(given.get("last_eval") or 0),
        )

    def to_json(self) -> Json:
        names = ("recurrence", "start_time", "last_eval")
        more = {name: value for name in names if (value := getattr(self, name))}
        return {**Adjustment.to_json(self), **more}


def _adjustment(given: Json) -> tuple[str, int, int]:
    return str(given["type"]).upper(), int(given["adjust"]), int(given.get("min_adjust_step") or 0)


@dataclass(slots=True)
class Role:
    """A role; `cooldown` in seconds (None: the server's default), `cooldown_end` an epoch."""

    name: str
    cardinality: int
    vm_template: int
    vm_template_contents: str = ""
    parents: list[str] = field(default_factory=list)
    shutdown_action: str = ""
    min_vms: int | None = None
    max_vms: int | None = None
    cooldown: int | None = None
    elasticity_policies: list[ElasticityPolicy] = field(default_factory=list)
    scheduled_policies: list[ScheduledPolicy] = field(default_factory=list)
    state: State = State.PENDING
    nodes: list[Node] = field(default_factory=list)
    last_vmname: int = 0
    cooldown_end: int = 0
    on_hold: bool = False
    failure: str = ""
    replacing: int = 0
    rest: Json = field(default_factory=dict)

    @classmethod
    def of_json(cls, given: Json) -> "Role":
        rest = {name: value for name, value in given.items() if name not in _ROLE}
        return cls(
            name=str(given["name"]),
            cardinality=int(given.get("cardinality", 1)),
            vm_template=int(given["vm_template"]),
            vm_template_contents=str(given.get("vm_template_contents") or ""),
            parents=[str(parent) for parent in given.get("parents") or ()],
            shutdown_action=str(given.get("shutdown_action") or ""),
            min_vms=_whole(given.get("min_vms")),
            max_vms=_whole(given.get("max_vms")),
            cooldown=_whole(given.get("cooldown")),
            elasticity_policies=[ElasticityPolicy.of_json(p) for p in given.get("elasticity_policies") or ()],
            scheduled_policies=[ScheduledPolicy.of_json(p) for p in given.get("scheduled_policies") or ()],
            state=State(int(given.get("state", 0))),
            nodes=[Node.of_json(node) for node in given.get("nodes") or ()],
            last_vmname=int(given.get("last_vmname") or 0),
            cooldown_end=int(given.get("cooldown_end") or 0),
            on_hold=bool(given.get("on_hold")),
            failure=str(given.get("failure") or ""),
            replacing=int(given.get("replacing") or 0),
            rest=rest,
        )

    def to_json(self) -> Json:
        made: Json = {"name": self.name, "cardinality": self.cardinality, "vm_template": self.vm_template}
        for name in ("vm_template_contents", "parents", "shutdown_action", "failure", "replacing"):
            if value := getattr(self, name):
                made[name] = value
        for name in ("min_vms", "max_vms", "cooldown"):
            if (number := getattr(self, name)) is not None:
                made[name] = number
        made.update(
            elasticity_policies=[policy.to_json() for policy in self.elasticity_policies],
            scheduled_policies=[policy.to_json() for policy in self.scheduled_policies],
            state=int(self.state),
            nodes=[node.to_json() for node in self.nodes],
            last_vmname=self.last_vmname,
            cooldown_end=self.cooldown_end,
            on_hold=self.on_hold,
        )
        return {**made, **self.rest}

    @property
    def live(self) -> list[Node]:
        """Those that are to stay."""
        return [node for node in self.nodes if not node.disposed]


_ROLE = frozenset(Role.__dataclass_fields__) - {"rest"}


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


@dataclass(slots=True)
class Network:
    """One of `networks_values`: `given` is what was chosen (id, reserve_from or template_id, extra)."""

    name: str
    given: Json

    @property
    def id(self) -> int | None:
        value = self.given.get("id")
        return None if value in (None, "") else int(str(value))

    @property
    def own(self) -> bool:
        """Made for the service, and removed with it."""
        return "reserve_from" in self.given or "template_id" in self.given

    @property
    def extra(self) -> str:
        extra = self.given.get("extra") or ""
        return "\n".join(map(str, extra)) if isinstance(extra, list) else str(extra)


class Owner(NamedTuple):
    uid: int
    gid: int
    uname: str
    gname: str


@dataclass(slots=True)
class Service:
    """`id`, `name` and the owner are the document's; `rest` are keys of the body that nobody here reads."""

    id: int
    name: str
    owner: Owner
    deployment: str
    roles: list[Role]
    state: State = State.PENDING
    shutdown_action: str = ""
    ready_status_gate: bool = False
    custom_attrs_values: dict[str, str] = field(default_factory=dict)
    networks: list[Network] = field(default_factory=list)
    on_hold: bool = False
    log: list[Json] = field(default_factory=list)
    failure: str = ""
    purge: bool = False
    gently: bool = False
    rest: Json = field(default_factory=dict)

    @classmethod
    def of_json(cls, oid: int, name: str, owner: Owner, body: Json) -> "Service":
        """Raises ValueError, KeyError or TypeError for what is no service."""
        return cls(
            oid, name, owner,
            deployment=str(body.get("deployment") or "none"),
            roles=[Role.of_json(role) for role in body["roles"]],
            state=State(int(body.get("state", 0))),
            shutdown_action=str(body.get("shutdown_action") or ""),
            ready_status_gate=bool(body.get("ready_status_gate")),
            custom_attrs_values={k: str(v) for k, v in (body.get("custom_attrs_values") or {}).items()},
            networks=[Network(*pair) for item in body.get("networks_values") or () for pair in item.items()],
            on_hold=bool(body.get("on_hold")),
            log=list(body.get("log") or ()),
            failure=str(body.get("failure") or ""),
            purge=bool(body.get("purge")),
            gently=bool(body.get("gently")),
            rest={key: value for key, value in body.items() if key not in _SERVICE},
        )  # fmt: skip

    def to_json(self) -> Json:
        made: Json = {"name": self.name, "deployment": self.deployment}
        for name in ("shutdown_action", "failure", "on_hold", "purge", "gently"):
            if value := getattr(self, name):
                made[name] = value
        return {
            **made,
            **self.rest,
            "ready_status_gate": self.ready_status_gate,
            "custom_attrs_values": self.custom_attrs_values,
            "networks_values": [{network.name: network.given} for network in self.networks],
            "roles": [role.to_json() for role in self.roles],
            "state": int(self.state),
            "log": self.log,
        }

    def to_text(self) -> str:
        return json.dumps(self.to_json(), separators=(",", ":"))

    def role(self, name: str) -> Role | None:
        return next((role for role in self.roles if role.name == name), None)

    def note(self, now: int, message: str, severity: str = "I") -> None:
        """`severity`: I, W or E."""
        self.log.append({"timestamp": now, "severity": severity, "message": message})
        del self.log[:-LOG_LENGTH]

    @property
    def vm_ids(self) -> list[int]:
        return [node.vm_id for role in self.roles for node in role.nodes]


_SERVICE = frozenset((
    "name", "deployment", "roles", "state", "shutdown_action", "ready_status_gate", "custom_attrs_values",
    "networks_values", "on_hold", "log", "failure", "purge", "gently",
))  # fmt: skip
