"""The interface of a marketplace driver: how an image gets into a marketplace, what is in it. Idempotent."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from merope.drivers.errors import DriverError
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be offered: a file, the size of the disk in it in MB, and its format (raw, qcow2 …)."""

    path: Path
    size: int
    image_format: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Where the content can be had from (a URL), and what it is; `md5` in hexadecimal, `size` in MB."""

    source: str
    md5: str
    size: int
    image_format: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Capacity of a marketplace in MB, and the templates of the apps in it, in base64.

    A marketplace that holds only what was put there through this cloud names none.
    """

    total: int
    used: int
    free: int
    apps: tuple[str, ...] = ()


class MarketDriver(Protocol):
    """Raises DriverError. An app is known by its id and REGTIME and the marketplace's id: done again for the
    same app, an operation answers what it answered before and stores nothing new."""

    def offer(self, app: MarketplaceApp, market: Marketplace, content: Content) -> Offer:
        """Puts the content into the marketplace."""
        ...

    def remove(self, app: MarketplaceApp, market: Marketplace) -> None:
        """Nothing is removed that was not put there for this app; what is not there is removed already."""
        ...

    def monitor(self, market: Marketplace) -> Reading: ...


def md5_of(path: Path) -> str:
    """The MD5 of a file, in hexadecimal: what says that a download is whole, not that nobody changed it."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DriverError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def app_key(app: MarketplaceApp, market: Marketplace) -> str:
    """What an app's content is called in a marketplace: the same whenever it is asked for."""
    identity = f"{market.zone_id}:{market.id}:{app.id}:{app.regtime}"
    return hashlib.md5(identity.encode(), usedforsecurity=False).hexdigest()
