"""Images as files in the datastore's directory.

SOURCE is `<BASE_PATH>/<hash>`, where the hash is that of what identifies the image, so that an operation
that is done again after a crash comes to the same file.
"""

import hashlib
import itertools
import os
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO

from merope.drivers import snapshot_files
from merope.drivers.datastore import streams
from merope.drivers.datastore.base import Exported, Stored, Usage
from merope.drivers.datastore.streams import Expected
from merope.drivers.diskimage import (
    FORMATS,
    HEADER_SIZE,
    check_format,
    convert,
    probe_file,
    probe_upload,
    size_mb,
)
from merope.drivers.errors import DriverError
from merope.drivers.files import (
    MB,
    Progress,
    SparseWriter,
    copy_file,
    copy_sparse,
    is_complete,
    leftovers,
    make_directory,
    new_file,
    remove,
)
from merope.drivers.filesystems import make_disk
from merope.drivers.paths import Allowed, image_path
from merope.drivers.snapshot_files import DiskFiles, image_files, is_chained
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.states import DatastoreType, ImageType

_FILE_TYPES = (ImageType.KERNEL, ImageType.RAMDISK, ImageType.CONTEXT)
_RESERVE = 64 * MB
"""Bytes of a file system that a new image leaves free."""


class FsDatastore:
    """`protected` directories (the cloud's own: keys, database) are never read, unless a safe directory
    is inside them. `progress` is told the bytes of a copy or download that are done."""

    def __init__(self, *, protected: tuple[Path, ...] = (), progress: Progress | None = None) -> None:
        self._protected = protected
        self._progress = progress

    def copy(self, image: Image, datastore: Datastore) -> Stored:
        target = _target(image, datastore)
        is_disk = image.type not in _FILE_TYPES
        if not is_complete(target):
            with new_file(target) as part, self.opened(image.path, datastore) as (stream, length):
                self.fetch(stream, length, part, image, datastore)
                if is_disk:
                    _accept(part, image, datastore)
        return Stored(str(target), probe_file(target).image_format if is_disk else "raw")

    def make(self, image: Image, datastore: Datastore) -> Stored:
        target = _target(image, datastore)
        image_format = _wanted_format(image, datastore) or "raw"
        if not is_complete(target):
            with new_file(target) as part:
                make_disk(part, image.size, image_format, image.template.get("FS"))
        return Stored(str(target), image_format)

    def clone(self, image: Image, source: str, datastore: Datastore) -> Stored:
        target = _target(image, datastore)
        original = image_files(Path(source)).active
        if not original.is_absolute() or not original.is_file():
            raise DriverError(f"the image to clone, {source}, is not there")
        if image.type in _FILE_TYPES:
            image_format = "raw"
        else:
            # A guest may have written to the original: what it is was known before, if it was known.
            known = image.fstype.lower()
            image_format = known if known in FORMATS else probe_file(original).image_format
        wanted = _conversion(image, image_format, datastore)
        if not is_complete(target):
            with new_file(target) as part:
                if wanted or is_chained(Path(source)):
                    convert(original, image_format, part, wanted or image_format)
                else:
                    copy_file(original, part)
        return Stored(str(target), wanted or image_format)

    def remove(self, image: Image, datastore: Datastore) -> None:
        """Also what a registration whose answer was lost has left. A SOURCE that is elsewhere stays."""
        target = _target(image, datastore)
        leftovers(target)
        for path in (target, image_path(target.parent, image.source)):
            if path is not None:
                remove(path)
                snapshot_files.discard(path)

    def export(self, image: Image, datastore: Datastore) -> Exported:
        path = Path(image.source)
        if not path.is_absolute() or not path.is_file():
            raise DriverError(f"image {image.id} of datastore {datastore.id} is not at {image.source!r}")
        if is_chained(path):
            raise DriverError(f"image {image.id} is spread over its snapshots: flatten it first")
        # A guest may have written to it: what it is was known before, if it was known.
        known = image.fstype.lower()
        return Exported(path, image.size, known if known in FORMATS else probe_file(path).image_format)

    def snapshot_delete(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        snapshot_files.delete(_files(image, datastore), snapshot)

    def snapshot_revert(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        snapshot_files.revert(_files(image, datastore), snapshot)

    def snapshot_flatten(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        snapshot_files.flatten(_files(image, datastore), snapshot, check_format(image.fstype))

    def stat(self, path: str, datastore: Datastore) -> int:
        """A compressed raw image has to be read to its end."""
        with self.opened(path, datastore) as (stream, length):
            known = os.fstat(stream.fileno()).st_size if isinstance(stream, FileIO) else length
            data = streams.chunks(stream, length)
            start = next(data, b"")
            if not _keeps_as_is(datastore) and streams.is_compressed(start):
                known, data = None, streams.decompressed(itertools.chain([start], data))
                start = _first(data, HEADER_SIZE)
            if datastore.type != DatastoreType.FILE_DS:
                found = probe_upload(start, streams.shown(path))
                known = found.size if found.size is not None else known
            return size_mb(known if known is not None else len(start) + sum(map(len, data)))

    def monitor(self, datastore: Datastore) -> Usage:
        base = _base(datastore)
        used = size_mb(_allocated(base))
        total, free = (size // MB for size in _file_system(base))
        return limited(datastore, Usage(total, used, free))

    @contextmanager
    def opened(self, path: str, datastore: Datastore) -> Iterator[tuple[IO[bytes] | FileIO, int | None]]:
        """The file or URL that PATH names, and how many bytes it has when that is known."""
        scheme = urllib.parse.urlsplit(path).scheme.lower()
        if scheme in ("http", "https"):
            stream, length = streams.download(path)
            with stream:
                yield stream, length
        elif scheme in ("", "file") or path.startswith("/"):
            local = Path(path) if path.startswith("/") else Path(urllib.parse.unquote(path[len("file://") :]))
            with self._allowed(datastore).open(local) as file:
                yield file, None
        else:
            raise DriverError(f"images cannot be taken from {scheme}:// yet; use a path, http or https")

    def _allowed(self, datastore: Datastore) -> Allowed:
        attributes = datastore.template
        restricted = attributes.get("RESTRICTED_DIRS", "/") if "RESTRICTED_DIRS" in attributes else "/"
        return Allowed.parse(attributes.get("SAFE_DIRS"), restricted, protected=self._protected)

    def fetch(
        self, stream: IO[bytes] | FileIO, length: int | None, part: Path, image: Image, datastore: Datastore
    ) -> None:
        """Writes the image that a stream is to `part`: decompressed, and checked to be what was expected."""
        room = _room(datastore, self.monitor(datastore))
        stated = image.template
        expected = Expected(stated.get("MD5") or stated.get("FROM_APP_MD5"), stated.get("SHA1"))
        plain = image.type in _FILE_TYPES or _keeps_as_is(datastore)
        if isinstance(stream, FileIO) and expected == Expected():
            start = os.pread(stream.fileno(), 16, 0)
            if plain or not streams.is_compressed(start):
                copy_sparse(stream, part, self._progress, limit=room)
                return
        data = streams.checked(streams.chunks(stream, length), expected)
        if not isinstance(stream, FileIO):
            data = streams.throttled(data, streams.bandwidth(datastore.template.get("LIMIT_TRANSFER_BW")))
        with SparseWriter(part, room) as writer:
            for chunk in data if plain else streams.decompressed(data):
                writer.write(chunk)
                if self._progress is not None:
                    self._progress(writer.size)


def _base(datastore: Datastore) -> Path:
    base = Path(datastore.base_path)
    if not base.is_absolute():
        raise DriverError(
            f"BASE_PATH of datastore {datastore.id} is {datastore.base_path!r}, not an absolute path"
        )
    return base


def _files(image: Image, datastore: Datastore) -> DiskFiles:
    """The files of an image that is in the datastore. Raises DriverError for one that is elsewhere."""
    path = image_path(_base(datastore), image.source)
    if path is None or not path.is_file():
        raise DriverError(f"image {image.id} is not there in datastore {datastore.id}")
    return image_files(path)


def _target(image: Image, datastore: Datastore) -> Path:
    base = _base(datastore)
    make_directory(base)
    identity = f"{datastore.id}:{image.id}:{image.regtime}"
    return base / hashlib.md5(identity.encode(), usedforsecurity=False).hexdigest()


def _keeps_as_is(datastore: Datastore) -> bool:
    """Files for kernels and contexts are given to guests as they are; a compressed initrd is meant so."""
    return datastore.type == DatastoreType.FILE_DS or datastore.template.get_bool("NO_DECOMPRESS")


def _first(data: Iterator[bytes], size: int) -> bytes:
    """At least `size` bytes of a stream, unless it is shorter."""
    start = b""
    for chunk in data:
        start += chunk
        if len(start) >= size:
            break
    return start


def _wanted_format(image: Image, datastore: Datastore) -> str:
    """The format that the datastore or the image asks for, empty when neither does."""
    for value in (
        datastore.template.get("DRIVER"),
        image.template.get("DRIVER"),
        image.template.get("FORMAT"),
        image.fstype,
    ):
        if value.lower() in FORMATS:
            return value.lower()
    return ""


def _conversion(image: Image, image_format: str, datastore: Datastore) -> str:
    """The format that an image must be converted to because the datastore's DRIVER says so, else empty."""
    driver = datastore.template.get("DRIVER").lower()
    kept = image.type in (*_FILE_TYPES, ImageType.CDROM)
    return "" if kept or driver in ("", image_format) else check_format(driver)


def _accept(part: Path, image: Image, datastore: Datastore) -> None:
    """Checks a new disk image, and converts it when the datastore's DRIVER asks for another format."""
    found = probe_file(part, probe_upload).image_format
    wanted = _conversion(image, found, datastore)
    if found == "vmdk":
        wanted = wanted or _wanted_format(image, datastore) or "qcow2"
    if wanted:
        converted = part.with_name(part.name.removesuffix(".part") + ".converted.part")
        try:
            convert(part, found, converted, wanted)
            converted.replace(part)
        finally:
            converted.unlink(missing_ok=True)
    elif found == "raw" and _wanted_format(image, datastore) == "qcow2" and image.type != ImageType.CDROM:
        raise DriverError(f"image {image.id} is said to be qcow2, but {streams.shown(image.path)} is not")


def _file_system(base: Path) -> tuple[int, int]:
    """Bytes of the file system that `base` is on, or will be on: all, and those free for us."""
    existing = next(path for path in (base, *base.parents) if path.is_dir())
    figures = os.statvfs(existing)
    return figures.f_blocks * figures.f_frsize, figures.f_bavail * figures.f_frsize


def _limit(datastore: Datastore) -> int | None:
    try:
        return datastore.template.get_int("LIMIT_MB")
    except ValueError as error:
        raise DriverError(f"datastore {datastore.id}: {error}") from error


def limited(datastore: Datastore, usage: Usage) -> Usage:
    """What LIMIT_MB leaves of a datastore."""
    limit = _limit(datastore)
    if limit is None:
        return usage
    return Usage(min(usage.total, limit), usage.used, max(min(usage.free, limit - usage.used), 0))


def _room(datastore: Datastore, usage: Usage) -> int:
    """Bytes that a new image may have."""
    return max(usage.free * MB - (_RESERVE if _limit(datastore) is None else 0), 0)


def _allocated(directory: Path) -> int:
    """Bytes on disk of what is in a directory, links not followed; what vanishes meanwhile counts 0."""
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    total += _allocated(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    except (FileNotFoundError, NotADirectoryError):
        return total
    return total
