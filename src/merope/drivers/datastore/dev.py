"""Images that are block devices of the hosts: PATH and SOURCE are the path of the device.

Only devices below SAFE_DIRS of the datastore may be registered: it would be all disks of the hosts otherwise.
"""

import os
from pathlib import Path

from merope.drivers.commands import CommandError
from merope.drivers.datastore.referred import ReferredDatastore
from merope.drivers.errors import DriverError
from merope.drivers.paths import directories
from merope.model.datastore import Datastore


class DevDatastore(ReferredDatastore):
    what = "a device"

    def checked(self, path: str, datastore: Datastore) -> str:
        device = Path(path)
        if not device.is_absolute() or ".." in device.parts:
            raise DriverError(f"{path} must be the absolute path of a device")
        safe = datastore.template.get("SAFE_DIRS")
        directories(safe)
        if not any(Path(os.path.normpath(device)).is_relative_to(base) for base in safe.split()):
            raise DriverError(
                f"{path} is not below SAFE_DIRS of datastore {datastore.id} ({safe or 'none'}), "
                "which says what devices may be images"
            )
        return os.path.normpath(device)

    def length(self, source: str, datastore: Datastore) -> int:
        try:
            return int(self.machine(datastore).run(["blockdev", "--getsize64", source]).stdout)
        except (CommandError, ValueError) as error:
            raise DriverError(f"the device {source} cannot be read: {error}") from error
