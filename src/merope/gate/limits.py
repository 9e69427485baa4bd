"""How often somebody may ask: buckets that fill again with time."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

_MOST = 50_000


class Buckets:
    """One for each key; `rate` a second, `burst` at once. The least recently used are forgotten."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> bool:
        """False when the bucket is empty; then nothing is taken."""
        left, now = self._now(key)
        if left < 1:
            return False
        self._left[key] = (left - 1, now)
        self._left.move_to_end(key)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        return True

    def has_room(self, key: Hashable) -> bool:
        return self._now(key)[0] >= 1

    def _now(self, key: Hashable) -> tuple[float, float]:
        now = self._clock()
        left, since = self._left.get(key, (self._burst, now))
        return min(self._burst, left + (now - since) * self._rate), now
