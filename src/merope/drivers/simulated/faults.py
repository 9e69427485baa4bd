"""What goes wrong with calls of drivers, decided by a seed and returned as data.

Nothing is done here and nothing waits: whoever makes the call (the engine's simulated executor) asks for
a plan first and then carries it out with its own clock.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b


class Fault(Enum):
    """The ways in which a call can go."""

    NONE = "carried out and answered"
    REFUSED = "not carried out, answered with an error"
    FAILED_AFTER = "carried out, and yet answered with an error"
    LOST = "carried out, never answered"
    LATE_ANSWER = "carried out, answered after the caller has given up"
    STALLED = "carried out, and answered, after the caller has given up"
    ANSWERED_TWICE = "carried out once, answered twice"
    REPEATED = "carried out twice, answered twice"
    HANG = "neither carried out nor answered"


@dataclass(frozen=True, slots=True)
class Plan:
    """How one call goes. Times in seconds.

    The call is made `executions` times, `delay` after it was asked for. Then each of `answers` is the
    time from there until an answer arrives: the driver's own answer, or an error that says `error` when
    that is not empty. No answers: none ever comes.
    """

    fault: Fault
    delay: float
    executions: int
    answers: tuple[float, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How often each fault happens (parts of one) and how long things take.

    `typical_delay` is the mean of an ordinary call, `timeout` what callers wait at most; late things come
    up to twice as late.
    """

    rates: Mapping[Fault, float] = field(default_factory=dict)
    typical_delay: float = 0.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if min(self.rates.values(), default=0) < 0 or sum(self.rates.values()) > 1:
            raise ValueError("fault rates must not be negative nor add up to more than 1")


NO_FAULTS = FaultRates()
ROUGH = FaultRates({fault: 0.02 for fault in Fault if fault is not Fault.NONE}, typical_delay=2.0)
"""Every fault, often enough that a schedule of a few dozen operations meets several."""


class Faults:
    """A reproducible source of plans.

    The n-th call of an operation on an object always goes the same way for a seed, whatever else is
    called before or in between; so a failing schedule can be shortened without changing the rest of it.
    """

    def __init__(self, seed: int, rates: FaultRates = NO_FAULTS) -> None:
        self._seed = seed
        self._rates = rates
        self._calls: Counter[tuple[str, str]] = Counter()

    def next(self, op: str, key: str = "") -> Plan:
        """The plan of the next call of `op` on the object that `key` names (such as "vm 7")."""
        self._calls[op, key] += 1
        text = f"{self._seed}/{op}/{key}/{self._calls[op, key]}"
        digest = blake2b(text.encode(), digest_size=24).digest()
        choice, when, spread = (int.from_bytes(digest[at : at + 8], "big") / 2**64 for at in (0, 8, 16))
        delay = 2 * when * self._rates.typical_delay
        late = self._rates.timeout * (1 + spread)
        return _plan(self._chosen(choice), op, delay, late, spread)

    def _chosen(self, choice: float) -> Fault:
        for fault, rate in self._rates.rates.items():
            choice -= rate
            if choice < 0:
                return fault
        return Fault.NONE


def _plan(fault: Fault, op: str, delay: float, late: float, spread: float) -> Plan:
    match fault:
        case Fault.REFUSED:
            return Plan(fault, delay, 0, (0.0,), f"{op} was refused (simulated fault)")
        case Fault.FAILED_AFTER:
            return Plan(fault, delay, 1, (0.0,), f"{op} failed (simulated fault)")
        case Fault.LOST:
            return Plan(fault, delay, 1, ())
        case Fault.LATE_ANSWER:
            return Plan(fault, delay, 1, (late,))
        case Fault.STALLED:
            return Plan(fault, late, 1, (0.0,))
        case Fault.ANSWERED_TWICE:
            return Plan(fault, delay, 1, (0.0, late * spread))
        case Fault.REPEATED:
            return Plan(fault, delay, 2, (0.0, 0.0))
        case Fault.HANG:
            return Plan(fault, delay, 0, ())
    return Plan(fault, delay, 1, (0.0,))
