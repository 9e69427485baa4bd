"""The core, the engine and the store under a fake clock, with faults and crashes, by seeds."""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """`one simulate`: see docs/simulation.md."""
    from merope.simulation.command import main as run

    return run(argv)
