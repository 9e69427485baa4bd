"""From a datastore into a marketplace and back into a datastore, by worker processes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.drivers.datastore.images import DISK
from tests.drivers.datastore.web import Web, serving

from merope.engine.job import Answer, Job
from merope.engine.workers import WorkerPool
from merope.model.datastore import Datastore
from merope.model.effect import Effect
from merope.model.image import Image
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.template import Template


@dataclass(frozen=True)
class Cloud:
    pool: WorkerPool
    web: Web
    public: Path
    image: Image
    datastore: Datastore
    market: Marketplace
    app: MarketplaceApp

    async def run(self, op: str, image: Image | None = None, **arguments: str) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        effect = Effect(1, op, 1, -1, dict(arguments))
        job = Job(effect, image=image, datastore=self.datastore if image else None)
        self.pool.submit(job, 60, answered.set_result)
        return await answered

    async def offer(self) -> Answer:
        return await self.run(
            "marketapp.import",
            app=self.app.to_xml(),
            market=self.market.to_xml(),
            image_document=self.image.to_xml(),
            datastore=self.datastore.to_xml(),
        )

    def serve(self) -> None:
        self.web.pages.update({f"/{path.name}": path.read_bytes() for path in self.public.iterdir()})


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    home, public, source = tmp_path / "home", tmp_path / "public", tmp_path / "source"
    (home / "datastores").mkdir(parents=True)
    public.mkdir()
    source.write_bytes(DISK)
    pool = WorkerPool(home, home / "datastores")
    base = str(home / "datastores" / "1")
    with serving() as web:
        yield Cloud(
            pool,
            web,
            public,
            Image(1, 0, 0, "u", "g", "disk", regtime=5, source=str(source), size=1, fstype="raw"),
            Datastore(1, 0, 0, "u", "g", "d", ds_mad="fs", base_path=base),
            Marketplace(
                100, 0, 0, "u", "g", "shelf", market_mad="http",
                template=Template([("BASE_URL", web.url("/")), ("PUBLIC_DIR", str(public))]),
            ),
            MarketplaceApp(4, 0, 0, "u", "g", "app", regtime=6),
        )  # fmt: skip
        await pool.close()


async def test_an_image_that_was_offered_comes_back_as_it_was(cloud: Cloud) -> None:
    offered = await cloud.offer()
    assert offered.ok, offered.message
    assert offered.data["md5"] == hashlib.md5(DISK).hexdigest()
    assert (offered.data["size"], offered.data["format"]) == ("1", "raw")
    cloud.serve()
    facts = Template([("FROM_APP_MD5", offered.data["md5"]), ("FORMAT", "raw")])
    copy = replace(cloud.image, id=2, source="", path=offered.data["source"], template=facts)
    copied = await cloud.run("image.copy", copy)
    assert copied.ok, copied.message
    assert await asyncio.to_thread(Path(copied.data["source"]).read_bytes) == DISK


async def test_an_app_that_was_changed_on_its_way_is_not_taken(cloud: Cloud) -> None:
    offered = await cloud.offer()
    cloud.web.pages[f"/{offered.data['source'].rpartition('/')[2]}"] = DISK[:-1] + b"!"
    facts = Template([("FROM_APP_MD5", offered.data["md5"])])
    copy = replace(cloud.image, id=2, source="", path=offered.data["source"], template=facts)
    copied = await cloud.run("image.copy", copy)
    assert not copied.ok
    assert "MD5" in copied.message


async def test_an_app_is_taken_out_of_its_marketplace(cloud: Cloud) -> None:
    await cloud.offer()
    for _ in range(2):
        gone = await cloud.run("marketapp.delete", app=cloud.app.to_xml(), market=cloud.market.to_xml())
        assert gone.ok, gone.message
    assert list(cloud.public.iterdir()) == []


async def test_what_has_no_driver_says_so(cloud: Cloud) -> None:
    cloud.market.market_mad = "s4"
    offered = await cloud.offer()
    assert not offered.ok
    assert "there is no market driver 's4'" in offered.message


async def test_executables_in_the_clouds_home_are_drivers(cloud: Cloud) -> None:
    directory = cloud.pool.home / "remotes" / "market" / "mine"
    await asyncio.to_thread(directory.mkdir, parents=True)
    script = '#!/bin/sh\nprintf \'SOURCE="http://x/1"\\nMD5="ab"\\nSIZE="1"\\nFORMAT="raw"\\n\'\n'
    await asyncio.to_thread((directory / "import").write_text, script)
    await asyncio.to_thread((directory / "import").chmod, 0o755)
    cloud.market.market_mad = "mine"
    offered = await cloud.offer()
    assert offered.ok, offered.message
    assert offered.data == {"source": "http://x/1", "md5": "ab", "size": "1", "format": "raw"}
