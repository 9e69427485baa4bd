"""Datastores of third parties: executables `remotes/datastore/<name>/<action>` on the front-end.

Each is given DS_DRIVER_ACTION_DATA (IMAGE, DATASTORE) in base64 and a number, that of the image or of the
datastore; the same data is on its standard input. Words can be read by every user of the machine: secrets of
the datastore are on standard input only. Source: spec drivers.yaml `datastore`.
"""

import base64
import re
from pathlib import Path

from merope.drivers.datastore.base import Exported, Stored, Usage
from merope.drivers.errors import DriverError
from merope.drivers.executable import LONG, QUICK, Executables, last_line, read_template
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.template import Template

_SECRET = re.compile(r"SECRET|PASSW|TOKEN|(^|_)KEY$", re.IGNORECASE)


class ExecutableDatastore:
    """`directory` holds the executables."""

    def __init__(self, directory: Path) -> None:
        self._do = Executables(directory, "datastore driver")

    def copy(self, image: Image, datastore: Datastore) -> Stored:
        return self._stored("cp", image, datastore)

    def make(self, image: Image, datastore: Datastore) -> Stored:
        return self._stored("mkfs", image, datastore)

    def clone(self, image: Image, source: str, datastore: Datastore) -> Stored:
        """As 5.12: the new image's PATH is the original's SOURCE."""
        asked = Image.from_xml(image.to_xml())
        asked.path = source
        return self._stored("clone", asked, datastore)

    def remove(self, image: Image, datastore: Datastore) -> None:
        if image.source:
            self._run("rm", image, datastore)

    def snapshot_delete(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        self._run("snap_delete", _about(image, snapshot), datastore)

    def snapshot_revert(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        self._run("snap_revert", _about(image, snapshot), datastore)

    def snapshot_flatten(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        self._run("snap_flatten", _about(image, snapshot), datastore)

    def export(self, image: Image, datastore: Datastore) -> Exported:
        printed = self._template("export", image, datastore)
        source = Path(printed.get("SOURCE") or printed.get("IMPORT_SOURCE"))
        if not source.is_absolute():
            raise DriverError(f"{self._do.name}/export printed no SOURCE that is a path of this machine")
        return Exported(source, self._number(printed, "SIZE"), printed.get("FORMAT") or image.fstype or "raw")

    def stat(self, path: str, datastore: Datastore) -> int:
        asked = Image(-1, 0, 0, "oneadmin", "oneadmin", "", path=path)
        said = last_line(self._run("stat", asked, datastore))
        if not said.isdecimal():
            raise DriverError(f"{self._do.name}/stat printed no size in MB, but {said[:80]!r}")
        return int(said)

    def monitor(self, datastore: Datastore) -> Usage:
        printed = self._template("monitor", None, datastore)
        return Usage(*(self._number(printed, f"{name}_MB") for name in ("TOTAL", "USED", "FREE")))

    def _stored(self, action: str, image: Image, datastore: Datastore) -> Stored:
        """`<source> <format>`; a source has no blanks."""
        words = last_line(self._run(action, image, datastore)).split()
        if not words:
            raise DriverError(f"{self._do.name}/{action} printed no source")
        return Stored(words[0], words[1] if len(words) > 1 else image.fstype or "raw")

    def _template(self, action: str, image: Image | None, datastore: Datastore) -> Template:
        return read_template(f"{self._do.name}/{action}", self._run(action, image, datastore))

    def _number(self, printed: Template, name: str) -> int:
        try:
            return max(printed.get_int(name, 0) or 0, 0)
        except ValueError as error:
            raise DriverError(f"{self._do.name} printed: {error}") from error

    def _run(self, action: str, image: Image | None, datastore: Datastore) -> str:
        secrets = [
            value
            for name, value in datastore.template.items()
            if isinstance(value, str) and value and _SECRET.search(name)
        ]
        open_store = datastore
        if secrets:
            open_store = Datastore.from_xml(datastore.to_xml())
            for name in open_store.template.names():
                if _SECRET.search(name):
                    open_store.template.set(name, "")
        number = datastore.id if image is None else image.id
        words = [base64.b64encode(_document(image, open_store).encode()).decode(), str(number)]
        seconds = QUICK if action in ("stat", "monitor") else LONG
        return self._do.run(
            action, words, document=_document(image, datastore), seconds=seconds, secrets=secrets
        )


def _about(image: Image, snapshot: int) -> Image:
    """The image as scripts are told it: TARGET_SNAPSHOT is the snapshot that is meant."""
    asked = Image.from_xml(image.to_xml())
    asked.target_snapshot = snapshot
    return asked


def _document(image: Image | None, datastore: Datastore) -> str:
    inner = "" if image is None else image.to_xml()
    return f"<DS_DRIVER_ACTION_DATA>{inner}{datastore.to_xml()}</DS_DRIVER_ACTION_DATA>"
