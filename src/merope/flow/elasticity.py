"""Which cardinality a role's policies ask for, and when to look again.

Source: seed 000 §1.4.4: min_vms first, then a schedule, then expressions; one adjustment at a time.
"""

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from math import isfinite
from typing import NamedTuple
from xml.etree.ElementTree import Element

from merope.flow.expression import Average, parse
from merope.flow.service import Adjustment, ElasticityPolicy, Role, ScheduledPolicy
from merope.flow.timetable import next_time, read_time

#: Where an attribute of a VM is looked for, in this order.
_PLACES = ("USER_TEMPLATE/", "MONITORING/", "TEMPLATE/", "")
#: What stands before the name of an attribute of the service.
_SERVICE = "SERVICE/"


class Wish(NamedTuple):
    """A new cardinality and why; `cooldown` in seconds, None where the role's applies."""

    cardinality: int
    reason: str
    cooldown: int | None = None


def averages(vms: Iterable[Element], service: Mapping[str, str]) -> Average:
    """`vms` are the documents of a role's running VMs, `service` has the service's custom attributes.

    `SERVICE/NAME` is always the service's: guests write attributes of VMs, and must not write these.
    """
    documents = list(vms)

    def average(name: str) -> float | None:
        if name.startswith(_SERVICE):
            return _read(service.get(name.removeprefix(_SERVICE)))
        found = [value for vm in documents if (value := _number(vm, name)) is not None]
        return sum(found) / len(found) if found else None

    return average


def _number(vm: Element, name: str) -> float | None:
    for place in _PLACES:
        if (value := _read(vm.findtext(place + name))) is not None:
            return value
    return None


def _read(text: str | None) -> float | None:
    """None for what is no finite number."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) else None


def target(adjustment: Adjustment, role: Role) -> int:
    """The cardinality after an adjustment, within min_vms and max_vms.

    Where it stands outside of them (a scale by force), it is not moved further away.
    """
    now = role.cardinality
    match adjustment.type:
        case "CARDINALITY":
            wanted = adjustment.adjust
        case "PERCENTAGE_CHANGE":
            share = now * adjustment.adjust / 100
            step = max(int(abs(share)), 1, adjustment.min_adjust_step) if adjustment.adjust else 0
            wanted = now + (step if adjustment.adjust > 0 else -step)
        case _:
            wanted = now + adjustment.adjust
    low = role.min_vms or 0
    if wanted > now:
        return wanted if role.max_vms is None else max(now, min(wanted, role.max_vms))
    return min(now, max(wanted, low, 0))


def scheduled(role: Role, now: int, zone: tzinfo) -> Wish | None:
    """Follows the schedule until `now`.

    What came due while nothing could be done is done once, late; what was over when the service began is not.
    """
    wish = None
    for policy in role.scheduled_policies:
        policy.last_eval = policy.last_eval or now - 1
        due = next_scheduled(policy, zone)
        if due is None or due > now:
            continue
        policy.last_eval = now
        cardinality = target(policy, role)
        if wish is None and cardinality != role.cardinality:
            wish = Wish(cardinality, f"schedule {policy.recurrence or policy.start_time}")
    return wish


def next_scheduled(policy: ScheduledPolicy, zone: tzinfo) -> int | None:
    """When a policy comes due after it was last followed, None for never again."""
    if policy.recurrence:
        return next_time(policy.recurrence, policy.last_eval, zone)
    start = read_time(policy.start_time, zone)
    return start if policy.last_eval < start else None


def interval(policy: ElasticityPolicy, default: int) -> int:
    """Seconds between two evaluations."""
    return policy.period or default


def evaluated(role: Role, now: int, average: Average, default_interval: int) -> Wish | None:
    """Evaluates the expressions that are due, and counts how often each was true in a row."""
    wish = None
    for policy in role.elasticity_policies:
        if policy.last_eval and policy.last_eval + interval(policy, default_interval) > now:
            continue
        policy.last_eval = now
        outcome = parse(policy.expression).evaluate(average)
        policy.expression_evaluated = outcome.shown
        policy.true_evals = policy.true_evals + 1 if outcome.value else 0
        if policy.true_evals < max(1, policy.period_number) or wish is not None:
            continue
        policy.true_evals = 0
        cardinality = target(policy, role)
        if cardinality != role.cardinality:
            wish = Wish(cardinality, f"expression {outcome.shown}", policy.cooldown)
    return wish


def minimum(role: Role) -> Wish | None:
    """min_vms is a hard limit."""
    if role.min_vms is not None and role.cardinality < role.min_vms:
        return Wish(role.min_vms, f"min_vms is {role.min_vms}", 0)
    return None


def wished(role: Role, now: int, average: Average | None, zone: tzinfo, default_interval: int) -> Wish | None:
    """What the policies want, the schedule first; `average` is None where the VMs have not been looked at."""
    wish = scheduled(role, now, zone)
    if wish is None and average is not None:
        wish = evaluated(role, now, average, default_interval)
    return wish


def expressions_due(role: Role, now: int, default_interval: int) -> bool:
    return any(p.last_eval + interval(p, default_interval) <= now for p in role.elasticity_policies)


def next_look(role: Role, now: int, zone: tzinfo, default_interval: int) -> int | None:
    """When the policies want to be looked at again (epoch), None for never."""
    times = [max(now, p.last_eval + interval(p, default_interval)) for p in role.elasticity_policies]
    for policy in role.scheduled_policies:
        due = next_scheduled(policy, zone) if policy.last_eval else now
        if due is not None:
            times.append(max(now, due))
    return min(times, default=None)
