"""Marketplaces that a web server of the administrator's serves: files in PUBLIC_DIR, offered at BASE_URL."""

import os
import urllib.parse
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.files import MB, check_room, copy_file, is_complete, leftovers, new_file, remove
from merope.drivers.market.base import Content, Offer, Reading, app_key, md5_of
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp

_READABLE = 0o644
"""The web server is another user."""


class HttpMarket:
    """`protected` directories (the cloud's own: keys, database) hold no marketplace."""

    def __init__(self, *, protected: tuple[Path, ...] = ()) -> None:
        self._protected = tuple(Path(os.path.realpath(path)) for path in protected)

    def offer(self, app: MarketplaceApp, market: Marketplace, content: Content) -> Offer:
        target = self._directory(market) / app_key(app, market)
        if not content.path.is_absolute() or not content.path.is_file():
            raise DriverError(f"the image to offer, {content.path}, is not there")
        if not is_complete(target):
            free = os.statvfs(target.parent)
            check_room(content.path.stat().st_blocks * 512, free.f_bavail * free.f_frsize)
            with new_file(target) as part:
                copy_file(content.path, part)
        target.chmod(_READABLE)
        return Offer(_url(market, target.name), md5_of(target), content.size, content.image_format)

    def remove(self, app: MarketplaceApp, market: Marketplace) -> None:
        directory = self._directory(market)
        name = _stated_name(app, market) or app_key(app, market)
        for path in {directory / name, directory / app_key(app, market)}:
            leftovers(path)
            remove(path)

    def monitor(self, market: Marketplace) -> Reading:
        figures = os.statvfs(self._directory(market))
        total = figures.f_blocks * figures.f_frsize // MB
        free = figures.f_bavail * figures.f_frsize // MB
        return Reading(total, total - figures.f_bfree * figures.f_frsize // MB, free)

    def _directory(self, market: Marketplace) -> Path:
        stated = market.template.get("PUBLIC_DIR")
        if market.template.get("BRIDGE_LIST"):
            raise DriverError(f"marketplace {market.id}: hosts of a BRIDGE_LIST are not reached yet")
        path = Path(os.path.realpath(stated))
        if not Path(stated).is_absolute() or not path.is_dir():
            raise DriverError(f"PUBLIC_DIR of marketplace {market.id}, {stated!r}, is not a directory here")
        if any(path == closed or path in closed.parents for closed in self._protected):
            raise DriverError(f"PUBLIC_DIR of marketplace {market.id} holds the cloud's own files")
        return path


def _url(market: Marketplace, name: str) -> str:
    base = market.template.get("BASE_URL")
    if urllib.parse.urlsplit(base).scheme not in ("http", "https"):
        raise DriverError(f"BASE_URL of marketplace {market.id} is {base!r}, not an http or https URL")
    return f"{base.rstrip('/')}/{name}"


def _stated_name(app: MarketplaceApp, market: Marketplace) -> str:
    """The file that SOURCE names (5.12 chose other names), empty when it is not one of this marketplace."""
    base = market.template.get("BASE_URL").rstrip("/")
    name = app.source.removeprefix(f"{base}/")
    plain = name != app.source and name.isascii() and name.isalnum()
    return name if plain else ""
