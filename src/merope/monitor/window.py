"""Which numbers of a session's messages have been seen, and how old what they tell is."""

WIDTH = 1024
"""Numbers below the highest one that are remembered: what comes later than so many others is refused."""
BUCKET_SECONDS = 300.0


class Window:
    """The numbers that have been seen; each is let through once."""

    __slots__ = ("_seen", "highest")

    def __init__(self) -> None:
        self.highest = 0
        self._seen = (1 << WIDTH) - 1
        """Bit n: whether `highest - n` has been seen. What came before the window began counts as seen."""

    def admit(self, number: int) -> bool:
        """False for a number that has been seen, or is too far behind to say."""
        ahead = number - self.highest
        if ahead > 0:
            self._seen = ((self._seen << ahead) | 1) & ((1 << WIDTH) - 1) if ahead < WIDTH else 1
            self.highest = number
            return True
        bit = 1 << -ahead
        if -ahead >= WIDTH or self._seen & bit:
            return False
        self._seen |= bit
        return True


class Ages:
    """How old a message is when it comes, from the clocks of both sides, whatever these show.

    The fastest message of the last minutes is taken to have come at once; so the clocks need not agree, and
    may drift apart.
    """

    __slots__ = ("_before", "_began", "_now")

    def __init__(self, began: float | None = None) -> None:
        """`began` is when the sender's clock began, by ours, where that is known."""
        self._began = float("-inf")
        self._before = self._now = float("inf") if began is None else began

    def of(self, clock: float, now: float) -> float:
        """Seconds since the sender's `clock`, at our `now`."""
        if now - self._began > BUCKET_SECONDS:
            self._began, self._before, self._now = now, self._now, float("inf")
        apart = now - clock
        self._now = min(self._now, apart)
        return apart - min(self._now, self._before)
