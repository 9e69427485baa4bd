"""Images that are targets of iSCSI: PATH and SOURCE are the target's IQN, with `/<LUN>` where that is not 0.

QEMU logs in by itself; what it needs is the datastore's: ISCSI_HOST, ISCSI_USER, the secret ISCSI_USAGE.
"""

import json
import re

from merope.drivers.commands import CommandError
from merope.drivers.datastore.referred import ReferredDatastore
from merope.drivers.errors import DriverError
from merope.model.datastore import Datastore

_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.[a-z0-9.-]+(:[A-Za-z0-9.:_-]+)?(/\d{1,5})?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+", re.ASCII)


class IscsiDatastore(ReferredDatastore):
    what = "a target of iSCSI"

    def checked(self, path: str, datastore: Datastore) -> str:  # noqa: ARG002 - the same for all
        if not _IQN.fullmatch(path):
            raise DriverError(
                f"{path!r} is not the name of a target: iqn.<year>-<month>.<name>[:<name>][/<LUN>]"
            )
        return path

    def length(self, source: str, datastore: Datastore) -> int:
        """A target that asks for a password says nothing of its size to who does not know it."""
        host = datastore.template.get("ISCSI_HOST")
        if not _HOST.fullmatch(host):
            raise DriverError(f"ISCSI_HOST of datastore {datastore.id} is {host!r}, and not a host")
        target, _, unit = source.partition("/")
        url = f"iscsi://{host}/{target}/{unit or 0}"
        try:
            shown = (
                self.machine(datastore).run(["qemu-img", "info", "-f", "raw", "--output=json", url]).stdout
            )
        except CommandError as error:
            raise DriverError(f"the target {source} of {host} cannot be read: {error}") from error
        return int(json.loads(shown)["virtual-size"])
