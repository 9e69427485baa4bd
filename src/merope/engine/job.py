"""A job: one effect with all that must be known to carry it out, self-contained so that a process or
another machine can do it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from merope.model.datastore import Datastore
from merope.model.effect import Effect
from merope.model.host import Host
from merope.model.image import Image
from merope.model.vm import VM, History


@dataclass(frozen=True, slots=True)
class Job:
    """`source` is the record of the host that a migration leaves; `original` the SOURCE that is cloned;
    `token` the VM's OneGate token, where its CONTEXT is written; `off` the names of those of its hosts that
    are known to be off; `replica` what the VM's system datastore says of copies of images (REPLICA_*)."""

    effect: Effect
    vm: VM | None = None
    host: Host | None = None
    source: History | None = None
    image: Image | None = None
    datastore: Datastore | None = None
    original: str = ""
    token: str = field(default="", repr=False)
    off: frozenset[str] = frozenset()
    replica: Mapping[str, str] = field(default_factory=dict)

    @property
    def hosts(self) -> list[str]:
        """The names of the VM's host and of the one that a migration leaves."""
        record = self.vm and self.vm.history
        return sorted({each.hostname for each in (record, self.source) if each})

    def to_json(self) -> str:
        return json.dumps(
            {
                "id": self.effect.id,
                "effect": self.effect.to_json(),
                "vm": self.vm and self.vm.to_xml(),
                "host": self.host and self.host.to_xml(),
                "source": self.source and self.source.to_xml(),
                "image": self.image and self.image.to_xml(),
                "datastore": self.datastore and self.datastore.to_xml(),
                "original": self.original,
                "token": self.token,
                "off": sorted(self.off),
                "replica": dict(self.replica),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Job":
        data = json.loads(text)
        return cls(
            Effect.from_json(data["id"], data["effect"]),
            data["vm"] and VM.from_xml(data["vm"]),
            data["host"] and Host.from_xml(data["host"]),
            data["source"] and History.from_xml(data["source"]),
            data["image"] and Image.from_xml(data["image"]),
            data["datastore"] and Datastore.from_xml(data["datastore"]),
            data["original"],
            data["token"],
            frozenset(data["off"]),
            data["replica"],
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a job. `message` says why it failed, `data` what it found out (deploy_id, source …).

    `unreached`: there was no way to the host, or none any more.
    """

    ok: bool
    message: str = ""
    data: dict[str, str] = field(default_factory=dict)
    retry_safe: bool = False
    unreached: bool = False

    def to_json(self) -> str:
        return json.dumps([self.ok, self.message, self.data, self.retry_safe, self.unreached])

    @classmethod
    def from_json(cls, text: str) -> "Answer":
        return cls(*json.loads(text))
