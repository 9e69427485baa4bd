"""Where things are on a host: the layout of system datastores (spec drivers.yaml `tm.system_dir`)."""

from dataclasses import dataclass
from pathlib import Path

CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Layout:
    """`root` is DATASTORE_LOCATION, the same on the front-end and on every host."""

    root: Path

    def system_dir(self, datastore: int, vm: int) -> Path:
        return self.root / str(datastore) / str(vm)

    def disk(self, datastore: int, vm: int, disk: int) -> Path:
        return self.system_dir(datastore, vm) / f"disk.{disk}"

    def checkpoint(self, datastore: int, vm: int) -> Path:
        return self.system_dir(datastore, vm) / CHECKPOINT
