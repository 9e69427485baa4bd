"""The plans of images: how they come into their datastores and out of them, and their snapshots."""

from merope.drivers.datastore.base import DatastoreDriver, Stored
from merope.engine.job import Job
from merope.engine.plans.base import Drivers
from merope.engine.plans.stages import Stages, Where, everywhere
from merope.model.datastore import Datastore
from merope.model.image import Image


def _parts(drivers: Drivers, job: Job) -> tuple[DatastoreDriver, Image, Datastore]:
    assert job.image is not None
    assert job.datastore is not None
    return drivers.datastore(job.datastore.ds_mad), job.image, job.datastore


def stored(answer: Stored) -> dict[str, str]:
    return {"source": answer.source, "format": answer.image_format}


def _copy(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, image, datastore = _parts(drivers, job)
    return stored(driver.copy(image, datastore))


def _make(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, image, datastore = _parts(drivers, job)
    return stored(driver.make(image, datastore))


def _clone(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, image, datastore = _parts(drivers, job)
    return stored(driver.clone(image, job.original, datastore))


def _remove(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, image, datastore = _parts(drivers, job)
    driver.remove(image, datastore)
    return {}


def _snapshot_delete(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, image, datastore = _parts(drivers, job)
    driver.snapshot_delete(image, int(job.effect.arguments["snapshot"]), datastore)
    return {}


def _snapshot_revert(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, image, datastore = _parts(drivers, job)
    driver.snapshot_revert(image, int(job.effect.arguments["snapshot"]), datastore)
    return {}


def _snapshot_flatten(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, image, datastore = _parts(drivers, job)
    driver.snapshot_flatten(image, int(job.effect.arguments["snapshot"]), datastore)
    return {}


PLANS: dict[str, Stages] = everywhere(
    Where.FRONT_END,
    {
        "image.copy": _copy,
        "image.make": _make,
        "image.clone": _clone,
        "image.remove": _remove,
    },
)

SNAPSHOT_PLANS: dict[str, Stages] = everywhere(
    Where.FRONT_END,
    {
        "image.snapshot_delete": _snapshot_delete,
        "image.snapshot_revert": _snapshot_revert,
        "image.snapshot_flatten": _snapshot_flatten,
    },
)
