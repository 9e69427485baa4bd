"""Hooks: a command to be run when a method is called or when a VM or a host changes its state."""

from dataclasses import dataclass

from merope.model.document import Attributes, Document, Integer, Text, document, new_template
from merope.model.owned import OptionalLock

#: Numbers of the types in the database (spec states.yaml `hook`).
TYPES = {"state": 1, "api": 2}


@document("HOOK")
@dataclass(slots=True)
class Hook(Document):
    """`type` is a key of TYPES. What was run is in the table hook_log."""

    id: Integer
    name: Text
    type: Text
    lock: OptionalLock = None
    template: Attributes = new_template()
