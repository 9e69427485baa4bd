"""Making long lists without keeping others waiting."""

import asyncio
from collections.abc import Iterator
from time import perf_counter

SLICE_SECONDS = 0.003
"""How long a list is worked on before the loop sees to everything else."""


class Gatherer:
    """Goes through documents that are made piece by piece: one slice of one of them in a turn of the loop,
    however many are asked for at once, each list in its turn."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def gather(self, parts: Iterator[bytes]) -> list[bytes]:
        """All the parts, in memory shared with what they were made of."""
        made: list[bytes] = []
        while True:
            async with self._turn:
                until = perf_counter() + SLICE_SECONDS
                for part in parts:
                    made.append(part)
                    if perf_counter() > until:
                        break
                else:
                    return made
                await asyncio.sleep(0)
