"""The plans of marketplaces: an image is exported by its datastore and offered; an app's content is removed.

The effects bring the documents that they are about: what they were when it was asked for.
"""

from merope.drivers.files import remove
from merope.drivers.market.base import Content
from merope.engine.job import Job
from merope.engine.plans.base import Drivers
from merope.engine.plans.stages import Stages, Where, everywhere
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp


def _parts(job: Job) -> tuple[MarketplaceApp, Marketplace]:
    arguments = job.effect.arguments
    return MarketplaceApp.from_xml(str(arguments["app"])), Marketplace.from_xml(str(arguments["market"]))


def _import(drivers: Drivers, job: Job) -> dict[str, str]:
    app, market = _parts(job)
    image = Image.from_xml(str(job.effect.arguments["image_document"]))
    datastore = Datastore.from_xml(str(job.effect.arguments["datastore"]))
    exported = drivers.datastore(datastore.ds_mad).export(image, datastore)
    content = Content(exported.path, exported.size, exported.image_format)
    try:
        offer = drivers.market(market.market_mad).offer(app, market, content)
    finally:
        if exported.staged:
            remove(exported.path)
    return {
        "source": offer.source,
        "md5": offer.md5,
        "size": str(offer.size),
        "format": offer.image_format,
    }


def _delete(drivers: Drivers, job: Job) -> dict[str, str]:
    app, market = _parts(job)
    drivers.market(market.market_mad).remove(app, market)
    return {}


PLANS: dict[str, Stages] = everywhere(
    Where.FRONT_END,
    {
        "marketapp.import": _import,
        "marketapp.delete": _delete,
    },
)
