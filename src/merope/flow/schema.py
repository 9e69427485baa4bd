"""What a service template may be: a JSON schema, and what a schema cannot say (cycles, expressions, times).

Source: spec drivers.yaml `oneflow.template`, `role`; seed 000 §1.3.1, §1.4; seed 002 SR2.8.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from merope.flow.expression import ExpressionError, parse
from merope.flow.service import Json
from merope.flow.timetable import TimeError, check_recurrence, read_time

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_WORD = {"type": "string", "pattern": r"^\w+$"}
_NATURAL = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_TEXT = {"type": "string", "maxLength": 65536}
_SHUTDOWN = {"enum": ["terminate", "terminate-hard", "shutdown", "shutdown-hard", ""]}
_ADJUST = {
    "type": {"enum": ["CHANGE", "CARDINALITY", "PERCENTAGE_CHANGE"]},
    "adjust": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "min_adjust_step": {"type": "integer", "minimum": 1},
}
_ELASTICITY = {
    "type": "object",
    "required": ["type", "adjust", "expression"],
    "properties": {
        **_ADJUST,
        "period_number": _NATURAL,
        "period": _NATURAL,
        "expression": {"type": "string", "minLength": 1, "maxLength": 4096},
        "cooldown": _NATURAL,
    },
}
_SCHEDULED = {
    "type": "object",
    "required": ["type", "adjust"],
    "properties": {
        **_ADJUST,
        "start_time": {"type": ["string", "integer"]},
        "recurrence": {"type": "string"},
    },
}
_ROLE = {
    "type": "object",
    "required": ["name", "vm_template"],
    "properties": {
        "name": {**_WORD, "maxLength": 64},
        "cardinality": _NATURAL,
        "vm_template": _NATURAL,
        "vm_template_contents": _TEXT,
        "parents": {"type": "array", "items": _WORD},
        "shutdown_action": _SHUTDOWN,
        "min_vms": _NATURAL,
        "max_vms": _NATURAL,
        "cooldown": _NATURAL,
        "on_hold": {"type": "boolean"},
        "elasticity_policies": {"type": "array", "items": _ELASTICITY},
        "scheduled_policies": {"type": "array", "items": _SCHEDULED},
    },
}
_ID = {"type": ["string", "integer"], "pattern": "^[0-9]{1,9}$", "minimum": 0}
_EXTRA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_NETWORK_VALUE = {
    "type": "object",
    "properties": {"id": _ID, "reserve_from": _ID, "template_id": _ID, "extra": _EXTRA},
    "anyOf": [{"required": ["id"]}, {"required": ["reserve_from"]}, {"required": ["template_id"]}],
}
TEMPLATE: Json = {
    "type": "object",
    "required": ["name", "roles"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 128},
        "deployment": {"enum": ["none", "straight"]},
        "description": _TEXT,
        "shutdown_action": _SHUTDOWN,
        "ready_status_gate": {"type": "boolean"},
        "on_hold": {"type": "boolean"},
        "custom_attrs": {
            "type": "object",
            "propertyNames": _WORD,
            "additionalProperties": {"type": "string"},
        },
        "custom_attrs_values": {
            "type": "object",
            "propertyNames": _WORD,
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
        "networks": {"type": "object", "propertyNames": _WORD, "additionalProperties": {"type": "string"}},
        "networks_values": {
            "type": "array",
            "items": {"type": "object", "propertyNames": _WORD, "additionalProperties": _NETWORK_VALUE},
        },
        "labels": {"type": "string"},
        "roles": {"type": "array", "minItems": 1, "maxItems": 1000, "items": _ROLE},
    },
}
#: Longest list of complaints in one answer.
_MOST = 20


class TemplateError(ValueError):
    """Every thing that is wrong, one a line, with its path (`roles[0].cardinality`)."""


def check(template: Any) -> Json:
    """The template itself; raises TemplateError."""
    problems = [*_by_schema(template)] or [*_by_sense(template)]
    if problems:
        more = f"\nand {len(problems) - _MOST} more" if len(problems) > _MOST else ""
        raise TemplateError("\n".join(problems[:_MOST]) + more)
    made: Json = template
    return made


@cache
def _validator() -> "Validator":
    from jsonschema import Draft202012Validator

    return Draft202012Validator(TEMPLATE)


def _by_schema(template: Any) -> Iterator[str]:
    for error in sorted(_validator().iter_errors(template), key=lambda e: list(map(str, e.absolute_path))):
        yield f"{_path(error.absolute_path)}: {_sentence(error)}"


def _path(parts: Any) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.lstrip(".") or "template"


def _sentence(error: Any) -> str:
    value = repr(error.instance)
    shown = value if len(value) <= 60 else f"{value[:57]}…"
    match error.validator:
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return f"{', '.join(missing)} is missing"
        case "enum":
            return f"{shown} is none of {', '.join(repr(v) for v in error.validator_value if v)}"
        case "type":
            wanted = error.validator_value
            return f"{shown} must be of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case "pattern":
            return f"{shown} must match {error.validator_value}"
        case "minimum":
            return f"{shown} must be {error.validator_value} or more"
        case "anyOf":
            return f"{shown} needs one of id, reserve_from, template_id"
    return str(error.message)[:200]


def _by_sense(template: Json) -> Iterator[str]:
    roles: list[Json] = template["roles"]
    names = [role["name"] for role in roles]
    for place, role in enumerate(roles):
        where = f"roles[{place}]"
        if names.index(role["name"]) != place:
            yield f"{where}.name: there are two roles {role['name']!r}"
        for number, parent in enumerate(role.get("parents", ())):
            if parent not in names:
                yield f"{where}.parents[{number}]: there is no role {parent!r}"
        yield from _limits(where, role)
        yield from _policies(where, role)
    if cycle := find_cycle({role["name"]: list(role.get("parents", ())) for role in roles}):
        yield f"roles: the parents go round in a circle: {' → '.join(cycle)}"


def _limits(where: str, role: Json) -> Iterator[str]:
    low, high, number = role.get("min_vms", 0), role.get("max_vms"), role.get("cardinality", 1)
    if high is not None and high < low:
        yield f"{where}.max_vms: {high} is less than min_vms, {low}"
    elif number < low:
        yield f"{where}.cardinality: {number} is less than min_vms, {low}"
    elif high is not None and number > high:
        yield f"{where}.cardinality: {number} is more than max_vms, {high}"


def _policies(where: str, role: Json) -> Iterator[str]:
    for number, policy in enumerate(role.get("elasticity_policies", ())):
        try:
            parse(policy["expression"])
        except ExpressionError as error:
            yield f"{where}.elasticity_policies[{number}].expression: {error}"
    for number, policy in enumerate(role.get("scheduled_policies", ())):
        path = f"{where}.scheduled_policies[{number}]"
        recurrence, start = policy.get("recurrence"), policy.get("start_time")
        if not recurrence and not start:
            yield f"{path}: recurrence or start_time is missing"
        try:
            if recurrence:
                check_recurrence(recurrence)
            if start:
                read_time(str(start))
        except TimeError as error:
            yield f"{path}: {error}"


def find_cycle(parents: dict[str, list[str]]) -> list[str]:
    """Names that are each other's ancestors, the first one again at the end; [] when there are none."""
    done: set[str] = set()
    for first in parents:
        trail: list[str] = []
        stack = [(first, iter(parents.get(first, ())))] if first not in done else []
        trail += [first] if stack else []
        while stack:
            name, rest = stack[-1]
            parent = next(rest, None)
            if parent is None:
                done.add(name)
                stack.pop()
                trail.pop()
            elif parent in trail:
                return [*trail[trail.index(parent) :], parent]
            elif parent in parents and parent not in done:
                trail.append(parent)
                stack.append((parent, iter(parents[parent])))
    return []


#: mandatory|type|description|parameters|default, as user inputs of VM templates (spec templates.yaml).
_MANDATORY = re.compile(r"^\s*M\s*\|", re.IGNORECASE)


def check_values(template: Json) -> Json:
    """A template that is about to become a service, with its values filled in; raises TemplateError."""
    check(template)
    problems = []
    values: dict[str, str] = {k: _shown(v) for k, v in template.get("custom_attrs_values", {}).items()}
    for name, declared in template.get("custom_attrs", {}).items():
        parts = [part.strip() for part in declared.split("|")]
        default = parts[4] if len(parts) > 4 else ""
        if not values.get(name) and default:
            values[name] = default
        if not values.get(name):
            if _MANDATORY.match(declared):
                problems.append(f"custom_attrs_values.{name}: a value is needed ({declared})")
        elif complaint := _of_type(values[name], parts):
            problems.append(f"custom_attrs_values.{name}: {complaint}")
    template = {**template, "networks_values": _networks(template)}
    problems += _network_problems(template)
    if problems:
        raise TemplateError("\n".join(problems[:_MOST]))
    return {**template, "custom_attrs_values": values}


def _shown(value: object) -> str:
    return ("YES" if value else "NO") if isinstance(value, bool) else str(value)


def _of_type(value: str, parts: list[str]) -> str:
    """What is wrong with the value of a custom attribute, "" for nothing."""
    kind = parts[1] if len(parts) > 1 else "text"
    parameters = parts[3] if len(parts) > 3 else ""
    if kind in ("number", "number-float", "range", "range-float"):
        pattern = r"-?\d+" if not kind.endswith("float") else r"-?\d+(\.\d+)?"
        if not re.fullmatch(pattern, value):
            return f"{value!r} is no {'whole ' if not kind.endswith('float') else ''}number"
        low, _, high = parameters.partition("..")
        if kind.startswith("range") and low and high and not float(low) <= float(value) <= float(high):
            return f"{value} is not between {low} and {high}"
    if kind in ("list", "list-multiple"):
        chosen = value.split(",") if kind == "list-multiple" else [value]
        allowed = [word.strip() for word in parameters.split(",")]
        if bad := [word for word in chosen if word.strip() not in allowed]:
            return f"{bad[0]!r} is none of {', '.join(allowed)}"
    if kind == "boolean" and value.upper() not in ("YES", "NO"):
        return f"{value!r} is neither YES nor NO"
    return ""


#: What a network says for those who choose nothing: `id:5`, `template_id:3:AR=[…]`, `reserve_from:3:SIZE=5`.
_DEFAULT_NETWORK = re.compile(r"(id|template_id|reserve_from)\s*[:|]\s*(\d{1,9})\s*(?::(.*))?", re.DOTALL)


def _networks(template: Json) -> list[Json]:
    """What was chosen, and the defaults of the other networks."""
    chosen = list(template.get("networks_values", ()))
    given = {name for item in chosen for name in item}
    for name, declared in template.get("networks", {}).items():
        parts = [part.strip() for part in declared.split("|", 3)]
        default = _DEFAULT_NETWORK.search(parts[3]) if len(parts) > 3 else None
        if name not in given and default is not None:
            extra = {"extra": default[3]} if default[3] else {}
            chosen.append({name: {default[1]: default[2], **extra}})
    return chosen


def _network_problems(template: Json) -> Iterator[str]:
    given = {name for item in template.get("networks_values", ()) for name in item}
    declared = template.get("networks", {})
    for name, text in declared.items():
        if name not in given and _MANDATORY.match(text):
            yield f"networks_values: network {name!r} is needed ({text})"
    for name in given - set(declared):
        if declared:
            yield f"networks_values: {name!r} is none of the networks, {', '.join(declared)}"
