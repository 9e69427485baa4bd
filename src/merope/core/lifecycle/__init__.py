"""The life-cycle of a virtual machine, as a table.

A row says: in these phases, on this event, do these steps, go to that phase, and ask for that phase's
effect. The rows are in the modules of this package and assembled here; the machine that walks the table is
`core.vm_machine`, the steps are in `core.vm_steps`.
Source: spec states.yaml `actions`, `recover_map`, `retry_map`, `monitor_triggers`.
"""

from merope.core.lifecycle.answers import ANSWER_ROWS
from merope.core.lifecycle.devices import DEVICE_ANSWERS, DEVICE_REQUESTS
from merope.core.lifecycle.in_place import IN_PLACE_ANSWERS, IN_PLACE_REQUESTS
from merope.core.lifecycle.phases import (
    ANSWERS,
    DEVICES_AT_REST,
    EFFECTS,
    FAILURES,
    LEFT_SOURCE,
    MIGRATING,
    ON_DEVICES,
    RETRIES,
    SAVING,
    WAITING,
    WITHOUT_CAPACITY,
    WITHOUT_DOMAIN,
    awaited,
)
from merope.core.lifecycle.recoveries import MONITOR_ROWS, RECOVERY_ROWS
from merope.core.lifecycle.requests import REQUESTS
from merope.core.lifecycle.row import LATER, Row, Step
from merope.model.phase import Phase

__all__ = [
    "ANSWERS",
    "ANSWER_ROWS",
    "DEVICES_AT_REST",
    "DEVICE_ANSWERS",
    "DEVICE_REQUESTS",
    "EFFECTS",
    "FAILURES",
    "IN_PLACE_ANSWERS",
    "IN_PLACE_REQUESTS",
    "LATER",
    "LEFT_SOURCE",
    "MIGRATING",
    "MONITOR_ROWS",
    "ON_DEVICES",
    "RECOVERY_ROWS",
    "REQUESTS",
    "RETRIES",
    "ROWS",
    "SAVING",
    "TABLE",
    "WAITING",
    "WITHOUT_CAPACITY",
    "WITHOUT_DOMAIN",
    "Row",
    "Step",
    "awaited",
]

ROWS: tuple[Row, ...] = (
    REQUESTS
    + DEVICE_REQUESTS
    + IN_PLACE_REQUESTS
    + ANSWER_ROWS
    + DEVICE_ANSWERS
    + IN_PLACE_ANSWERS
    + RECOVERY_ROWS
    + MONITOR_ROWS
)

TABLE: dict[tuple[str, Phase], Row] = {(row.event, phase): row for row in ROWS for phase in row.phases}
if len(TABLE) != sum(len(row.phases) for row in ROWS):
    raise ValueError("two rows of the life-cycle answer the same event in the same phase")
