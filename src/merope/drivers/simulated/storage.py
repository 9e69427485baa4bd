"""The disks and images of the simulated world: names and facts about content, no bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from merope.drivers.errors import DriverError

SHARED = ""
"""The owner of a file that every host sees."""
FRONT_END = "front-end"
"""The owner of a file that only the front-end sees."""


@dataclass(slots=True)
class SimulatedFile:
    """`size` in MB. `content` is a number that stands for the bytes: equal numbers, equal bytes.

    `image` is the SOURCE of the image that a link stands for, empty for a file of its own.
    """

    size: int
    image_format: str
    content: int
    image: str = ""


class Storage:
    """Files by host and directory. A file of SHARED is seen by every host."""

    def __init__(self) -> None:
        self.images: dict[str, SimulatedFile] = {}
        self._directories: dict[tuple[str, str], dict[str, SimulatedFile]] = {}
        self._contents = 0

    def new_content(self) -> int:
        self._contents += 1
        return self._contents

    def find(self, host: str, path: Path) -> SimulatedFile | None:
        """The file as `host` sees it."""
        parent, name = str(path.parent), path.name
        for owner in (SHARED, host):
            file = self._directories.get((owner, parent), {}).get(name)
            if file is not None:
                return file
        return None

    def put(self, host: str, path: Path, file: SimulatedFile) -> None:
        self._directories.setdefault((host, str(path.parent)), {})[path.name] = file

    def remove(self, host: str, path: Path) -> None:
        """Removes a file, or a directory with what is in it; nothing when neither is there."""
        self._directories.pop((host, str(path)), None)
        entries = self._directories.get((host, str(path.parent)))
        if entries is not None:
            entries.pop(path.name, None)
            if not entries:
                del self._directories[host, str(path.parent)]

    def directory(self, host: str, path: Path) -> dict[str, SimulatedFile]:
        """What is in a directory of `host` itself, by name."""
        return dict(self._directories.get((host, str(path)), {}))

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        """Every file as its host and path."""
        for (host, parent), entries in self._directories.items():
            for name in entries:
                yield host, Path(parent) / name

    def put_anywhere(self, host: str, path: Path, file: SimulatedFile) -> None:
        """Puts a file where `path` says: over an image when it is the SOURCE of one, else on `host`."""
        if str(path).startswith(DUMMY_SOURCE):
            self.images[str(path)] = file
        else:
            self.put(host, path, file)

    def write(self, file: SimulatedFile, content: int) -> None:
        """New content of a file, and of the image that it is used in place of."""
        file.content = content
        if file.image:
            self.image(file.image).content = content

    def snapshots(self, host: str, disk: Path) -> dict[int, SimulatedFile]:
        """The snapshots of a disk by id: beside it, or beside the image that it is."""
        image = self._image_of(host, disk)
        names = self.images if image else self.directory(host, disk.parent)
        prefix = f"{image or disk.name}.snap."
        return {int(name.removeprefix(prefix)): names[name] for name in names if name.startswith(prefix)}

    def snapshot_path(self, host: str, disk: Path, snapshot: int) -> Path:
        """Where the snapshot of a disk is or will be; for `put_anywhere` and `remove_anywhere`."""
        return Path(f"{self._image_of(host, disk) or disk}.snap.{snapshot}")

    def remove_anywhere(self, host: str, path: Path) -> None:
        self.images.pop(str(path), None)
        self.remove(host, path)

    def _image_of(self, host: str, disk: Path) -> str:
        """The image that a disk is, when this world knows it apart from others."""
        file = self.find(host, disk)
        return file.image if file is not None and file.image != DUMMY_SOURCE else ""

    def image(self, source: str) -> SimulatedFile:
        """The image with this SOURCE. Raises DriverError when it is not there.

        Sources that this world has not made are taken to be there, like those that an administrator
        registers by SOURCE.
        """
        found = self.images.get(source)
        if found is not None:
            return found
        if source.startswith(f"{DUMMY_SOURCE}/"):
            raise DriverError(f"the image {source} is not there")
        return SimulatedFile(1, "raw", 0)

    def copy_of(self, source: str, size: int, image_format: str) -> SimulatedFile:
        image = self.image(source)
        return replace(image, size=max(image.size, size), image_format=image_format)


DUMMY_SOURCE = "dummy_path"
"""The SOURCE that the original's dummy datastore gives to every image."""
