"""How far images are that are being made: told by the worker, shown in the image, gone when it is made."""

import asyncio
import io
import json
import os
from pathlib import Path

import pytest
from tests.core.conftest import Core
from tests.drivers.datastore.images import DISK
from tests.drivers.datastore.web import serving

from merope.core import image_progress
from merope.core.transaction import SYSTEM
from merope.engine.job import Answer, Job
from merope.engine.worker import Reports
from merope.engine.workers import WorkerPool
from merope.model.datastore import Datastore
from merope.model.effect import Effect
from merope.model.image import Image
from merope.model.template import Template

MB = 1024 * 1024
PATH = "NAME=disk\nTYPE=OS\nPATH=/var/tmp/x"


def note(core: Core, image: int, done: int) -> bool:
    tx = core.transaction(SYSTEM)
    noted = image_progress.note(tx, image, done)
    core.commit(tx)
    return noted


def test_an_image_that_is_made_says_how_far_it_is() -> None:
    core = Core()
    oid = core.call(0, "one.image.allocate", PATH, 1, size=300)
    assert note(core, oid, 120 * MB)
    assert core.get(Image, oid).template.get("PROGRESS") == "120 of 300 MB"
    core.answer(source="/img/0", format="raw")
    assert "PROGRESS" not in core.get(Image, oid).template
    assert not note(core, oid, 200 * MB)
    assert not note(core, 77, 200 * MB)


def test_an_image_that_could_not_be_made_is_no_longer_under_way() -> None:
    core = Core()
    oid = core.call(0, "one.image.allocate", PATH, 1, size=300)
    note(core, oid, 120 * MB)
    core.answer(ok=False, message="no")
    assert core.get(Image, oid).template.names() == ["DEV_PREFIX", "ERROR"]


def test_reports_come_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("merope.engine.worker.time.monotonic", lambda: now[0])
    replies = io.StringIO()
    reports = Reports(replies)
    reports.begin(7)
    for later, done in ((0.5, 1), (1.0, 2), (1.5, 3), (5.9, 4), (6.0, 5), (6.1, 6)):
        now[0] = 100.0 + later
        reports(done)
    lines = [json.loads(line) for line in replies.getvalue().splitlines()]
    assert lines == [[7, {"done": 2}], [7, {"done": 5}]]


async def test_a_worker_tells_how_far_a_download_is_before_it_answers(tmp_path: Path) -> None:
    heard: list[int] = []
    home = tmp_path / "home"
    (home / "datastores").mkdir(parents=True)
    pool = WorkerPool(home, home / "datastores", progress=lambda job, done: heard.append(done))
    content = DISK[:512].ljust(3 * MB, b"\1")
    try:
        with serving() as web:
            web.pages["/disk"] = content
            image = Image(1, 0, 0, "u", "g", "disk", regtime=5, path=web.url("/disk"), size=3)
            base = str(home / "datastores" / "1")
            limit = Template([("LIMIT_TRANSFER_BW", "2M")])
            store = Datastore(1, 0, 0, "u", "g", "d", ds_mad="fs", base_path=base, template=limit)
            job = Job(Effect(1, "image.copy", 1, -1, {}), image=image, datastore=store)
            answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            pool.submit(job, 60, answered.set_result)
            answer = await answered
    finally:
        await pool.close()
    assert answer.ok, answer.message
    assert (await asyncio.to_thread(os.path.getsize, answer.data["source"])) == len(content)
    assert heard
    assert all(0 < done <= len(content) for done in heard)
