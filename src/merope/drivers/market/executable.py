"""Marketplace drivers of third parties: executables `remotes/market/<name>/{import,delete,monitor}`.

Each is given `<data> <id>`, where the data is MARKET_DRIVER_ACTION_DATA in base64, and the same data on
standard input; what it prints is a template (spec drivers.yaml `market`). Arguments can be read by every
user of the machine: passwords and secrets of the marketplace are on standard input only.
"""

import base64
import os
import re
from pathlib import Path

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.market.base import Content, Offer, Reading, md5_of
from merope.model.document import cdata
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.template import Template, TemplateError

_SECONDS = {"import": 86400.0, "delete": 600.0, "monitor": 600.0}
_SECRET = re.compile(r"SECRET|PASSW|TOKEN|(^|_)KEY$", re.IGNORECASE)


class ExecutableMarket:
    """`directory` holds the executables."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def offer(self, app: MarketplaceApp, market: Marketplace, content: Content) -> Offer:
        facts = {
            "IMPORT_SOURCE": str(content.path),
            "MD5": md5_of(content.path),
            "SIZE": str(content.size),
            "FORMAT": content.image_format,
            "DISPOSE": "NO",
        }
        printed = self._run("import", app.id, app, market, facts)
        source, md5, image_format = (printed.get(name) for name in ("SOURCE", "MD5", "FORMAT"))
        size = _megabytes(printed, "SIZE")
        if not source or not md5:
            raise DriverError(f"{self._name}/import printed no SOURCE or no MD5")
        return Offer(source, md5, size, image_format or content.image_format)

    def remove(self, app: MarketplaceApp, market: Marketplace) -> None:
        self._run("delete", app.id, app, market)

    def monitor(self, market: Marketplace) -> Reading:
        printed = self._run("monitor", market.id, None, market)
        apps = tuple(value for value in printed.values("APP") if isinstance(value, str))
        total, used, free = (_megabytes(printed, f"{name}_MB") for name in ("TOTAL", "USED", "FREE"))
        return Reading(total, used, free, apps)

    @property
    def _name(self) -> str:
        return self._directory.name

    def _run(
        self,
        action: str,
        oid: int,
        app: MarketplaceApp | None,
        market: Marketplace,
        facts: dict[str, str] | None = None,
    ) -> Template:
        path = self._directory / action
        if not path.is_file() or not os.access(path, os.X_OK):
            raise DriverError(f"the marketplace driver {self._name} has no executable {action}")
        secrets = [
            value
            for key, value in market.template.items()
            if isinstance(value, str) and _SECRET.search(key) and value
        ]
        open_data = _data(app, _without_secrets(market), facts or {})
        done = commands.run(
            [str(path), open_data, str(oid)],
            timeout=_SECONDS[action],
            input=_data(app, market, facts or {}),
            secrets=secrets,
        )
        try:
            return Template.parse(done.stdout)
        except TemplateError as error:
            raise DriverError(f"{self._name}/{action} printed what is no template: {error}") from error


def _data(app: MarketplaceApp | None, market: Marketplace, facts: dict[str, str]) -> str:
    parts = [market.to_xml(), "" if app is None else app.to_xml()]
    parts += [f"<{name}>{cdata(value)}</{name}>" for name, value in facts.items()]
    document = f"<MARKET_DRIVER_ACTION_DATA>{''.join(parts)}</MARKET_DRIVER_ACTION_DATA>"
    return base64.b64encode(document.encode()).decode()


def _without_secrets(market: Marketplace) -> Marketplace:
    bare = Marketplace.from_xml(market.to_xml())
    for name in bare.template.names():
        if _SECRET.search(name):
            bare.template.set(name, "")
    return bare


def _megabytes(printed: Template, name: str) -> int:
    try:
        return max(printed.get_int(name, 0) or 0, 0)
    except ValueError as error:
        raise DriverError(f"the marketplace driver printed: {error}") from error
