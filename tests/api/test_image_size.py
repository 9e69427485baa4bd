"""How large an image will be: asked of the driver for its PATH, or for that of the app that it is made of."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.api.dispatch_harness import Sandbox

from merope.core import marketplace_app
from merope.drivers.simulated.datastore import IMAGE_SIZE
from merope.engine.cloud import Inputs
from merope.model.errors import Code


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """App 0 is said to have 40 MB, app 1 has no size."""
    made = Sandbox(tmp_path)
    apps = [
        base64.b64encode(f'NAME="{name}"\nSOURCE="http://x/{name}"\nSIZE="{size}"'.encode()).decode()
        for name, size in (("known", 40), ("unknown", 0))
    ]
    made.cloud.execute(
        lambda tx: int(marketplace_app.monitored(tx, 0, 1, 1, 0, json.dumps(apps))), Inputs(internal=True)
    )
    await made.settle()
    yield made
    await made.close()


async def size(sandbox: Sandbox, source: str) -> str:
    oid = await sandbox.value("one.image.allocate", source, 1)
    document = await sandbox.value("one.image.info", oid)
    return str(document).partition("<SIZE>")[2].partition("<")[0]


async def test_an_image_of_a_path_has_the_size_that_the_driver_says(sandbox: Sandbox) -> None:
    assert await size(sandbox, "NAME=a\nPATH=/x") == str(IMAGE_SIZE)


async def test_an_image_of_an_app_has_the_apps_size(sandbox: Sandbox) -> None:
    assert await size(sandbox, "NAME=a\nFROM_APP=0\nPATH=/x") == "40"


async def test_the_driver_is_asked_for_an_app_without_one(sandbox: Sandbox) -> None:
    assert await size(sandbox, "NAME=a\nFROM_APP=1") == str(IMAGE_SIZE)


async def test_an_app_that_is_not_there_has_none(sandbox: Sandbox) -> None:
    for stated in ("7", "x"):
        refused = await sandbox.call("one.image.allocate", f"NAME=a\nFROM_APP={stated}\nPATH=/x", 1)
        assert refused.code == Code.INTERNAL
        assert "Cannot get app" in refused.message
