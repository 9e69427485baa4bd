"""The datastore driver of the simulated world."""

from pathlib import Path

from merope.drivers.datastore.base import Exported, Stored, Usage
from merope.drivers.diskimage import FORMATS
from merope.drivers.errors import DriverError
from merope.drivers.simulated.storage import DUMMY_SOURCE, SimulatedFile
from merope.drivers.simulated.world import World
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.states import DatastoreType

IMAGE_SIZE = 1024
"""MB that every path is said to hold."""
_USAGE = {
    DatastoreType.SYSTEM_DS: Usage(total=4796800, used=1429920, free=3333260),
}
_IMAGE_USAGE = Usage(total=20480, used=9720, free=20480)


class SimulatedDatastore:
    """Registers images in `world`.

    Every image has the SOURCE that the original's dummy driver gives, unless `distinct_sources`: then
    each has its own and the world notices when one is used that is not there.
    """

    def __init__(self, world: World, *, distinct_sources: bool = False) -> None:
        self._world = world
        self._distinct = distinct_sources

    def copy(self, image: Image, datastore: Datastore) -> Stored:
        return self._stored("copy", image, datastore)

    def make(self, image: Image, datastore: Datastore) -> Stored:
        return self._stored("make", image, datastore)

    def clone(self, image: Image, source: str, datastore: Datastore) -> Stored:
        content = self._world.storage.image(source).content
        return self._stored("clone", image, datastore, content)

    def remove(self, image: Image, datastore: Datastore) -> None:  # noqa: ARG002 - an image knows its place
        self._world.counters["remove"] += 1
        images = self._world.storage.images
        if images.pop(image.source, None) is not None:
            self._note_users(image.source)
        for name in [name for name in images if name.startswith(f"{image.source}.snap.")]:
            del images[name]

    def snapshot_delete(self, image: Image, snapshot: int, datastore: Datastore) -> None:  # noqa: ARG002
        self._world.counters["image_snapshot_delete"] += 1
        self._world.storage.images.pop(f"{image.source}.snap.{snapshot}", None)

    def snapshot_revert(self, image: Image, snapshot: int, datastore: Datastore) -> None:  # noqa: ARG002
        self._world.counters["image_snapshot_revert"] += 1
        self._revert(image, snapshot)

    def snapshot_flatten(self, image: Image, snapshot: int, datastore: Datastore) -> None:  # noqa: ARG002
        self._world.counters["image_snapshot_flatten"] += 1
        images = self._world.storage.images
        prefix = f"{image.source}.snap."
        names = [name for name in images if name.startswith(prefix)]
        if names:
            self._revert(image, snapshot)
        for name in names:
            del images[name]

    def _revert(self, image: Image, snapshot: int) -> None:
        images = self._world.storage.images
        if image.source not in images:
            return  # one that this world has not made
        kept = images.get(f"{image.source}.snap.{snapshot}")
        if kept is None:
            raise DriverError(f"the snapshot {snapshot} of image {image.id} is not there")
        images[image.source].content, images[image.source].size = kept.content, kept.size

    def export(self, image: Image, datastore: Datastore) -> Exported:  # noqa: ARG002 - as above
        return Exported(Path(image.source), image.size, image.fstype if image.fstype in FORMATS else "raw")

    def stat(self, path: str, datastore: Datastore) -> int:  # noqa: ARG002 - there is nothing to look at
        return IMAGE_SIZE

    def monitor(self, datastore: Datastore) -> Usage:
        """The figures of the original's dummy datastores, whatever is in them."""
        return _USAGE.get(DatastoreType(datastore.type), _IMAGE_USAGE)

    def _stored(self, op: str, image: Image, datastore: Datastore, content: int = 0) -> Stored:
        self._world.counters[op] += 1
        image_format = image.fstype if image.fstype in FORMATS else "raw"
        if not self._distinct:
            return Stored(DUMMY_SOURCE, image_format)
        source = f"{DUMMY_SOURCE}/{datastore.id}/{image.id}"
        storage = self._world.storage
        if source not in storage.images:
            content = content or storage.new_content()
            storage.images[source] = SimulatedFile(image.size, image_format, content)
        return Stored(source, image_format)

    def _note_users(self, source: str) -> None:
        for _, domain in self._world.domains():
            for path in domain.disks:
                if self._world.links_to(path, source):
                    self._world.violated(f"image {source} was removed while VM {domain.vm_id} uses it")
