"""What comes with an event of a VM's life-cycle."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Facts:
    """The driver's answer (`message`, `data`), and what the event is about (`arguments`: disk, nic …), which
    are also the arguments of the effect that it asks for."""

    message: str = ""
    data: dict[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str | int] = field(default_factory=dict)
