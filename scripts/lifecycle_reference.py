"""docs/reference/lifecycle.md: the life-cycle of a virtual machine, drawn and told from its table."""

from collections.abc import Callable, Iterable, Iterator

from merope.core import lifecycle
from merope.core.lifecycle import Row, Step

_INTRODUCTION = """\
# The life-cycle of a virtual machine

A virtual machine is in one phase: its STATE, and its LCM_STATE while STATE is ACTIVE. An event takes it to
the next one: a request of a user or of the scheduler, a driver's answer, what monitoring finds, or
`onevm recover`. Each row below says: in these phases, on this event, these steps are done, in this order, the
machine goes to that phase, and that operation is asked of the drivers. An event in a phase that has no row
for it changes nothing: a request is refused, an answer that comes late is ignored.

Two things the rows do not show:

- A machine that was put away (STOPPED, UNDEPLOYED) and resumed waits in PENDING or HOLD with its disks kept.
  It is deployed and terminated by the rows of the phase in which it was put away.
- `terminate` of a machine in one of the failures, and `recover` with delete, end it at once in DONE; what is
  left on hosts is cleaned up by an operation that outlives it.

This page is generated from `src/merope/core/lifecycle/` (`make generate`). Every row is tested by
`tests/core/test_lifecycle.py`.
"""

_MARK = "**kept**"


def markdown() -> str:
    parts = [_INTRODUCTION]
    for title, words, wanted in _DIAGRAMS:
        parts.append(f"\n## {title}\n\n{words}\n\n")
        parts += _diagram(wanted)
    for title, rows in _TABLES:
        parts.append(f"\n## {title}\n\n| Event | In | Goes to | Steps | Asked of drivers | Record says |\n")
        parts.append("|---|---|---|---|---|---|\n")
        parts += map(_line, rows)
    parts.append("\n## Steps\n\n| Step | What it does |\n|---|---|\n")
    parts += [f"| {_word(step)} | {step.value} |\n" for step in Step]
    parts.append("\n## What each phase waits for\n\n")
    parts.append("| Phase | Operation | Its answers are the events |\n|---|---|---|\n")
    for phase, effect in sorted(lifecycle.EFFECTS.items(), key=lambda item: item[0].value):
        answer = lifecycle.ANSWERS[effect]
        parts.append(f"| {phase.name} | `{effect}` | `{answer}-ok`, `{answer}-ko` |\n")
    parts.append("\n## Where a retry goes on\n\n| Failure | Phase |\n|---|---|\n")
    parts += [f"| {failed.name} | {again.name} |\n" for failed, again in lifecycle.RETRIES.items()]
    return "".join(parts)


def _diagram(wanted: Callable[[Row], bool]) -> Iterator[str]:
    edges: dict[tuple[str, str], list[str]] = {}
    for row in filter(wanted, lifecycle.ROWS):
        if row.to is None and not row.effect:
            continue
        for phase in row.phases:
            target = (row.to or phase).name
            label = row.event.removesuffix("-off")
            known = edges.setdefault((phase.name, target), [])
            if label not in known:
                known.append(label)
    yield "```mermaid\nstateDiagram-v2\n"
    for (source, target), labels in edges.items():
        yield f"    {source} --> {target} : {', '.join(_merged(labels))}\n"
    yield "```\n"


def _merged(labels: Iterable[str]) -> list[str]:
    """ "terminate, terminate-hard" is one way to go: "terminate(-hard)"."""
    known = list(labels)
    hard = {label.removesuffix("-hard") for label in known if label.endswith("-hard")}
    return [
        f"{label}(-hard)" if label in hard else label
        for label in known
        if not (label.endswith("-hard") and label.removesuffix("-hard") in known)
    ]


def _line(row: Row) -> str:
    effect = row.effect or (lifecycle.EFFECTS.get(row.to, "") if row.to is not None else "")
    asked = f"`{effect}`" if effect else ""
    if asked and row.source:
        asked += " on the host that is left"
    cells = (
        f"`{row.event}`",
        ", ".join(phase.name for phase in row.phases),
        row.to.name if row.to is not None else _MARK,
        ", ".join(map(_word, row.steps)),
        asked,
        row.action.name.lower().replace("_", "-") if row.action is not None else "",
    )
    return f"| {' | '.join(cells)} |\n"


def _word(step: Step) -> str:
    return step.name.lower().replace("_", " ")


def _ok(row: Row) -> bool:
    return row in lifecycle.REQUESTS or (row in lifecycle.ANSWER_ROWS and "-ko" not in row.event)


def _failed(row: Row) -> bool:
    return row in lifecycle.ANSWER_ROWS and "-ko" in row.event


def _recovered(row: Row) -> bool:
    return row in lifecycle.RECOVERY_ROWS


def _noticed(row: Row) -> bool:
    return row in lifecycle.MONITOR_ROWS


_DIAGRAMS = (
    ("When all goes well", "Requests, and operations that succeed (`-ok`).", _ok),
    ("When an operation fails", "Answers of drivers that say no (`-ko`).", _failed),
    (
        "Recover",
        "`recover-ok` and `recover-ko` are `onevm recover --success` and `--failure` of what has failed "
        "already; in other phases these take the operation under way for done or failed, as above.",
        _recovered,
    ),
    ("What monitoring finds", "Only while no operation is under way.", _noticed),
)
_TABLES = (
    ("Requests", lifecycle.REQUESTS),
    ("Answers", lifecycle.ANSWER_ROWS),
    ("Recoveries, and images that a machine waits for", lifecycle.RECOVERY_ROWS),
    ("Monitoring", lifecycle.MONITOR_ROWS),
)
