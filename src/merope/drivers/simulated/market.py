"""The marketplace driver of the simulated world."""

from merope.drivers.errors import DriverError
from merope.drivers.market.base import Content, Offer, Reading, app_key
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp


class SimulatedMarket:
    """`offered`: by marketplace, the templates (base64) of the apps that its readings name."""

    def __init__(self) -> None:
        self.offered: dict[int, list[str]] = {}
        self.contents: dict[str, Content] = {}

    def offer(self, app: MarketplaceApp, market: Marketplace, content: Content) -> Offer:
        if not content.path.name:
            raise DriverError(f"app {app.id} has no content")
        name = app_key(app, market)
        self.contents[name] = content
        source = f"{market.template.get('BASE_URL').rstrip('/')}/{name}"
        return Offer(source, name, content.size, content.image_format)

    def remove(self, app: MarketplaceApp, market: Marketplace) -> None:
        self.contents.pop(app_key(app, market), None)

    def monitor(self, market: Marketplace) -> Reading:
        """The figures of a marketplace that was never measured, as the recorded ones were."""
        return Reading(0, 0, 0, tuple(self.offered.get(market.id, ())))
