"""Which change was the last one at a moment that has passed: reports are about then, not about now."""

from bisect import bisect_right
from collections.abc import Callable

SECONDS = 300.0
_STEP = 0.05


class Moments:
    """`clock` is seconds; `index` is the number of the last change when this begins to look."""

    def __init__(self, clock: Callable[[], float], index: int) -> None:
        self._clock = clock
        self._times = [clock()]
        self._indexes = [index]

    def note(self, index: int) -> None:
        """A change has been made. Of those that come close together the last is remembered."""
        now = self._clock()
        if len(self._times) > 1 and self._times[-1] - self._times[-2] < _STEP:
            self._times[-1], self._indexes[-1] = now, index
            return
        self._times.append(now)
        self._indexes.append(index)
        if now - self._times[0] > 2 * SECONDS:
            old = bisect_right(self._times, now - SECONDS) - 1
            del self._times[:old], self._indexes[:old]

    def at(self, moment: float) -> int:
        """A change that had been made at that moment; 0 where nobody remembers."""
        place = bisect_right(self._times, moment)
        return self._indexes[place - 1] if place else 0
