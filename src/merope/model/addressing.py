"""Questions to external address managers (IPAM), and what they answer, as plain values."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from merope.model.secret_attributes import decrypted, encrypted
from merope.model.settings import Settings
from merope.model.template import Vector

REGISTER: Final = "register"
UNREGISTER: Final = "unregister"
ALLOCATE: Final = "allocate"
GET: Final = "get"
FREE: Final = "free"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a range, which `attributes` describe (IPAM_MAD among them).

    `index` and `size` are the addresses that are meant, counted from the first of the range; `index` is -1
    where the manager is to choose. `number` counts the questions of one run of a command, so that those
    that are alike otherwise are told apart.
    """

    action: str
    network_id: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    index: int = -1
    size: int = 1
    number: int = 0

    @property
    def key(self) -> str:
        """The same for questions that are the same."""
        parts = (self.action, self.network_id, sorted(self.attributes.items()))
        return json.dumps([*parts, self.index, self.size, self.number])


@dataclass(frozen=True, slots=True)
class Told:
    """What a manager answered: `data` are the attributes of the range that it registered, or one of IP, IP6
    and MAC of the first address that it gave."""

    ok: bool
    message: str = ""
    data: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Answers:
    """What was asked for one request, and which of it the last run of its command has used."""

    asked: dict[str, tuple[Question, Told]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """The command runs again, from its beginning."""
        self.used.clear()

    def unused(self) -> list[tuple[Question, Told]]:
        """What was given and is not wanted after all."""
        return [pair for key, pair in self.asked.items() if pair[1].ok and key not in self.used]


def attributes_of(text: str) -> Vector:
    """A range from the argument of an effect (`attributes_text`)."""
    return Vector(json.loads(text))


def attributes_text(attributes: Mapping[str, str], settings: Settings) -> str:
    """A range as the argument of an effect; what networks store encrypted is encrypted here too."""
    return json.dumps(_changed(attributes, settings, encrypted))


def revealed(attributes: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """A range as its manager is to see it, with what is stored encrypted decrypted."""
    return _changed(attributes, settings, decrypted)


def _changed(
    attributes: Mapping[str, str], settings: Settings, change: Callable[[str, str], str]
) -> dict[str, str]:
    key = settings.one_key
    secret = {name.removeprefix("AR/") for name in settings.vnet_encrypted_attr if name.startswith("AR/")}
    return {name: change(text, key) if key and name in secret else text for name, text in attributes.items()}
