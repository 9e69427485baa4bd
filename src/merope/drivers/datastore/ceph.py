"""Images as volumes of a Ceph pool, named as in 5.12: SOURCE is `<POOL_NAME>/one-<image id>`, always raw.

What is registered is put together in STAGING_DIR of the front-end first, and then handed to the pool: by this
machine or by one of BRIDGE_LIST.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merope.drivers.datastore.base import Exported, Stored, Usage
from merope.drivers.datastore.fs import FsDatastore, limited
from merope.drivers.diskimage import convert, probe_file, probe_upload
from merope.drivers.errors import DriverError
from merope.drivers.files import MB, Progress, remove
from merope.drivers.filesystems import make_disk
from merope.drivers.machine import bridge
from merope.drivers.rbd import DEFAULT_POOL, REACHED_BY, Cluster, checked
from merope.drivers.ssh import Ssh
from merope.model.datastore import Datastore
from merope.model.image import Image

_STAGING = "/var/tmp"  # noqa: S108 - the default of the format


class CephDatastore(FsDatastore):
    """`ssh` reaches the hosts of BRIDGE_LIST."""

    def __init__(
        self, *, protected: tuple[Path, ...] = (), progress: Progress | None = None, ssh: Ssh | None = None
    ) -> None:
        super().__init__(protected=protected, progress=progress)
        self._ssh = ssh

    def copy(self, image: Image, datastore: Datastore) -> Stored:
        cluster, volume = self._cluster(image.id, datastore), _volume(image, datastore)
        if not cluster.exists(volume):
            with _staged(image, datastore) as part:
                with self.opened(image.path, datastore) as (stream, length):
                    self.fetch(stream, length, part, image, datastore)
                found = probe_file(part, probe_upload).image_format
                if found == "raw":
                    cluster.take(part, volume)
                else:
                    with _staged(image, datastore, "raw.part") as raw:
                        convert(part, found, raw, "raw")
                        remove(part)
                        cluster.take(raw, volume)
        return Stored(volume, "raw")

    def make(self, image: Image, datastore: Datastore) -> Stored:
        cluster, volume = self._cluster(image.id, datastore), _volume(image, datastore)
        filesystem = image.template.get("FS")
        if image.size < 1:
            raise DriverError(f"a disk of {image.size} MB cannot be made; the least is 1 MB")
        if not filesystem:
            cluster.create(volume, image.size)
        elif not cluster.exists(volume):
            with _staged(image, datastore) as part:
                make_disk(part, image.size, "raw", filesystem)
                cluster.take(part, volume)
        return Stored(volume, "raw")

    def clone(self, image: Image, source: str, datastore: Datastore) -> Stored:
        volume = _volume(image, datastore)
        self._cluster(image.id, datastore).copy(checked(source), volume)
        return Stored(volume, "raw")

    def remove(self, image: Image, datastore: Datastore) -> None:
        """A SOURCE that is elsewhere stays."""
        to_trash = datastore.template.get_bool("CEPH_TRASH")
        volume = _volume(image, datastore)
        for suffix in ("part", "raw.part", "export.part"):
            remove(_place(image, datastore, suffix))
        self._cluster(image.id, datastore).remove(volume, to_trash=to_trash)

    def export(self, image: Image, datastore: Datastore) -> Exported:
        """A copy in STAGING_DIR, which is where files come from."""
        part = _place(image, datastore, "export.part")
        try:
            self._cluster(image.id, datastore).read(checked(image.source), part)
        except (OSError, DriverError):
            remove(part)
            raise
        return Exported(part, image.size, "raw", staged=True)

    def snapshot_delete(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        self._cluster(image.id, datastore).unsnap(checked(image.source), str(snapshot))

    def snapshot_revert(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        self._cluster(image.id, datastore).revert(checked(image.source), str(snapshot))

    def snapshot_flatten(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        """The snapshot itself goes last: without it, it is done."""
        cluster, volume = self._cluster(image.id, datastore), checked(image.source)
        names = [name for name in cluster.snapshots(volume) if name.isdecimal()]
        if not names:
            return
        cluster.revert(volume, str(snapshot))
        for name in sorted(names, key=lambda name: name == str(snapshot)):
            cluster.unsnap(volume, name)

    def monitor(self, datastore: Datastore) -> Usage:
        """Of the pool, which others may use too."""
        pool = _pool(datastore)
        used, free = (size // MB for size in self._cluster(datastore.id, datastore).capacity(pool))
        return limited(datastore, Usage(used + free, used, free))

    def _cluster(self, number: int, datastore: Datastore) -> Cluster:
        template = datastore.template
        machine = bridge(template.get("BRIDGE_LIST"), number, self._ssh)
        return Cluster.of({name: template.get(name) for name in REACHED_BY}, machine)


def _pool(datastore: Datastore) -> str:
    return datastore.template.get("POOL_NAME") or DEFAULT_POOL


def _volume(image: Image, datastore: Datastore) -> str:
    return checked(f"{_pool(datastore)}/one-{image.id}")


def _place(image: Image, datastore: Datastore, suffix: str) -> Path:
    staging = Path(datastore.template.get("STAGING_DIR") or _STAGING)
    return staging / f".one-{datastore.id}-{image.id}.{suffix}"


@contextmanager
def _staged(image: Image, datastore: Datastore, suffix: str = "part") -> Iterator[Path]:
    """A file on the front-end that is gone afterwards; what an attempt that was cut off has left goes too."""
    part = _place(image, datastore, suffix)
    remove(part)
    try:
        yield part
    except OSError as error:
        raise DriverError(
            f"image {image.id} cannot be put together in {part.parent}: {error.strerror}"
        ) from error
    finally:
        remove(part)
