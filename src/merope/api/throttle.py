"""Guessing takes time: after some wrong passwords, each further attempt waits, longer and longer.

Counted are attempts at one account from one address, at one account from anywhere, and at how many accounts
one address failed. An attempt counts as failed as soon as it begins, so that many at once get nowhere; but
those of services, which log in for many users at once, when they have failed. One that succeeds takes the
count of its account and address away. Who is logged in already is not concerned.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

#: Seconds after the last failure until it is forgotten.
FORGOTTEN_AFTER = 300.0
#: Attempts that wait at the same time, for one account and address; more are refused unread.
MOST_WAITING = 4
#: Accounts and addresses that are remembered; the oldest go first.
REMEMBERED = 20_000

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Limit:
    """`free` attempts wait for nothing, then `first` seconds, doubled for each further one up to `most`."""

    free: int
    first: float
    most: float

    def wait(self, failures: int) -> float:
        beyond = failures - self.free
        return 0.0 if beyond < 0 else min(self.most, self.first * 2.0 ** min(beyond, 16))


#: Attackers elsewhere cannot keep a user out for long, nor users of one address each other.
_PAIR = _Limit(5, 0.25, 8.0)
_ACCOUNT = _Limit(20, 0.25, 2.0)
_ADDRESS = _Limit(20, 0.25, 1.0)


@dataclass(slots=True)
class _Count:
    failures: int
    last: float


class Throttle:
    """Each attempt is begun, `left` its waiting where it had to, and ended. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: dict[_Key, _Count] = {}
        self._waiting: dict[_Key, int] = {}

    def begin(self, address: str, account: str, *, service: bool = False) -> float | None:
        """Seconds that the attempt must wait; None when too many wait already and it is refused.

        A wait that is not 0 is to be ended with `left`.
        """
        pair, anywhere, anybody = _keys(address, account)
        seconds = max(
            _PAIR.wait(self._failures(pair)),
            _ACCOUNT.wait(self._failures(anywhere)),
            _ADDRESS.wait(self._failures(anybody)),
        )
        if seconds and self._waiting.get(pair, 0) >= MOST_WAITING:
            return None
        if not service:
            self._fail(pair)
            self._fail(anywhere)
        if seconds:
            self._waiting[pair] = self._waiting.get(pair, 0) + 1
        return seconds

    def left(self, address: str, account: str) -> None:
        pair = _keys(address, account)[0]
        remaining = self._waiting[pair] - 1
        if remaining:
            self._waiting[pair] = remaining
        else:
            del self._waiting[pair]

    def end(self, address: str, account: str, *, success: bool, service: bool = False) -> None:
        pair, anywhere, anybody = _keys(address, account)
        if not success:
            if service:
                self._fail(pair)
                self._fail(anywhere)
            if self._failures(pair) == 1:
                self._fail(anybody)
            return
        own, everywhere = self._counts.pop(pair, None), self._counts.get(anywhere)
        if own is not None and everywhere is not None:
            everywhere.failures -= min(everywhere.failures, own.failures)

    def _failures(self, key: _Key) -> int:
        count = self._counts.get(key)
        if count is None or self._clock() - count.last >= FORGOTTEN_AFTER:
            return 0
        return count.failures

    def _fail(self, key: _Key) -> None:
        failures = self._failures(key) + 1
        self._counts.pop(key, None)
        if len(self._counts) >= REMEMBERED:
            del self._counts[next(iter(self._counts))]
        # What was counted last stands last.
        self._counts[key] = _Count(failures, self._clock())


def _keys(address: str, account: str) -> tuple[_Key, _Key, _Key]:
    """An account from an address, from anywhere, and an address with any account."""
    address = _network(address)
    return ("pair", address, account), ("account", "", account), ("address", address, "")


@lru_cache(1024)
def _network(address: str) -> str:
    """Of IPv6 the /64, which one peer has to itself with all its addresses."""
    if ":" not in address:
        return address
    found = ipaddress.IPv6Address(address.partition("%")[0])
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))
