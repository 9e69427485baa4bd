"""`one simulate`: many schedules on all cores, or one of them step by step."""

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec

from merope.core.methods import METHODS
from merope.simulation import mutations, schedule
from merope.simulation.deeds import SERVICES, SUBJECTS
from merope.simulation.schedule import Outcome
from merope.simulation.shrink import shrink
from merope.simulation.simulation import listen

#: Seconds that cutting one failing schedule down may take, and how many failures are cut and shown.
SHRINKING = 20.0
SHOWN = 3
_PROGRESS_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """0: every schedule was clean; 1: something was wrong; 2: wrong arguments."""
    args = _parser().parse_args(argv)
    if args.list_mutations:
        for name, mutation in mutations.TABLE.items():
            print(f"{name:28} {mutation.__doc__}")
        return 0
    if args.subject == SERVICES and find_spec("cronsim") is None:
        print("one simulate: OneFlow is not installed: pip install 'merope[flow]'", file=sys.stderr)
        return 2
    if args.seed is not None:
        return _replay(args)
    return _many(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="one simulate",
        description="Runs the core, the engine and the store under a fake clock through faults and crashes.",
    )
    parser.add_argument("--seeds", type=_positive, default=500, metavar="N", help="schedules to run (500)")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="the first seed (0)")
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes")
    parser.add_argument("--seed", type=int, metavar="N", help="one schedule, told step by step")
    parser.add_argument("--steps", type=_numbers, metavar="N,N,…", help="only these steps of the schedule")
    parser.add_argument(
        "--subject", choices=sorted(SUBJECTS), default="", help="what every schedule dwells on"
    )
    parser.add_argument("--mutation", choices=sorted(mutations.TABLE), help="with a known bug switched on")
    parser.add_argument("--list-mutations", action="store_true", help="the known bugs")
    parser.add_argument(
        "--sqlite", action="store_true", help="with a real database beside, compared at the end"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def _run(
    seed: int, steps: Sequence[int] | None, args: argparse.Namespace, *, traced: bool = False
) -> Outcome:
    """One schedule; a mutation is switched on for as long as it runs."""
    schedule.warm_up()
    with mutations.switched_on(args.mutation):
        return schedule.run(seed, steps, traced=traced, sqlite=args.sqlite, subject=args.subject)


def _replay(args: argparse.Namespace) -> int:
    listen()
    outcome = _run(args.seed, args.steps, args, traced=True)
    if args.json:
        print(json.dumps(asdict(outcome)))
    else:
        print("\n".join(outcome.trace))
        print(f"seed {args.seed}: {outcome.failure or 'clean'}")
    return int(bool(outcome.failure))


def _many(args: argparse.Namespace) -> int:
    started = time.monotonic()
    seeds = range(args.start, args.start + args.seeds)
    failures: list[Outcome] = []
    done = 0
    calls = Counter[str]()
    successes = Counter[str]()
    for outcome in _with_progress(_outcomes(seeds, args), args.seeds, quiet=args.json):
        done += 1
        for name, (called, succeeded) in outcome.calls.items():
            calls[name] += called
            successes[name] += succeeded
        if outcome.failure:
            failures.append(outcome)
    methods = _coverage(calls, successes)
    rate = done / (time.monotonic() - started)
    listen()
    cut = [_cut(outcome, args) for outcome in sorted(failures, key=lambda each: each.seed)[:SHOWN]]
    if args.json:
        found = [{"seed": one.seed, "steps": steps, "failure": one.failure} for one, steps in cut]
        seeds_found = [outcome.seed for outcome in failures]
        summary = {"schedules": done, "per_second": round(rate, 1), "failing": seeds_found, "shown": found}
        print(json.dumps(summary | {"methods": methods}))
    else:
        for one, steps in cut:
            _tell(one, steps, args)
        called, uncalled = len(METHODS) - len(methods["never_called"]), methods["never_called"]
        print(f"{called} of {len(METHODS)} methods called{_listed(uncalled)}")
        refused = methods["never_succeeded"]
        print(f"{len(METHODS) - len(uncalled) - len(refused)} of them with success{_listed(refused)}")
        print(f"{done} schedules, {len(failures)} failing, {rate:.1f} schedules per second")
    return int(bool(failures))


def _coverage(calls: Counter[str], successes: Counter[str]) -> dict[str, list[str]]:
    """Methods that were not called, and those that were always refused."""
    never = sorted(METHODS.keys() - calls.keys())
    return {"never_called": never, "never_succeeded": sorted(name for name in calls if not successes[name])}


def _listed(names: Sequence[str]) -> str:
    return f"; not: {', '.join(names)}" if names else ""


def _outcomes(seeds: Sequence[int], args: argparse.Namespace) -> Iterator[Outcome]:
    # Before there are processes: they inherit it, and what goes wrong here is said once.
    _prepare()
    if args.jobs == 1:
        yield from (_run(seed, None, args) for seed in seeds)
        return
    with multiprocessing.get_context("fork").Pool(args.jobs) as pool:
        chunk = max(1, min(20, len(seeds) // (args.jobs * 4)))
        yield from pool.imap_unordered(partial(_run, steps=None, args=args), seeds, chunk)


def _prepare() -> None:
    """What every schedule needs is made once; the collector need not look at it again and again."""
    listen()
    schedule.warm_up()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _with_progress(outcomes: Iterable[Outcome], total: int, *, quiet: bool) -> Iterator[Outcome]:
    told = time.monotonic()
    failing = 0
    for number, outcome in enumerate(outcomes, 1):
        failing += bool(outcome.failure)
        if not quiet and time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"{number} of {total}, {failing} failing", file=sys.stderr, flush=True)
        yield outcome


def _cut(outcome: Outcome, args: argparse.Namespace) -> tuple[Outcome, list[int]]:
    """The failure with as few steps as it takes."""
    last = schedule.STEPS if outcome.at < 0 else outcome.at + 1

    def fails(steps: Sequence[int]) -> bool:
        return _run(outcome.seed, steps, args).kind == outcome.kind

    steps = shrink(range(last), fails, SHRINKING)
    return outcome, steps


def _tell(outcome: Outcome, steps: Sequence[int], args: argparse.Namespace) -> None:
    mutation = f" --mutation {args.mutation}" if args.mutation else ""
    subject = f" --subject {args.subject}" if args.subject else ""
    trace = _run(outcome.seed, steps, args, traced=True)
    print(f"seed {outcome.seed}: {outcome.failure}")
    print("\n".join(f"    {line}" for line in trace.trace[-30:]))
    numbers = ",".join(map(str, steps)) or "-"
    print(f"again: one simulate --seed {outcome.seed} --steps {numbers}{subject}{mutation}\n")
