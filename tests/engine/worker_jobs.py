"""Jobs of drivers that misbehave, for the tests of workers here and on hosts."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from merope.engine.job import Answer, Job
from merope.engine.workers import WorkerPool
from merope.model.effect import Effect
from merope.model.template import Template, Vector
from merope.model.vm import VM, History

ROOT = Path(__file__).parents[2]
_ENTRY_POINTS = """\
[merope.drivers.hypervisor]
faulty = tests.engine.faulty_driver:FaultyHypervisor
[merope.drivers.network]
noting = tests.engine.faulty_driver:NotingNetwork
"""


def faulty_drivers(directory: Path) -> str:
    """PYTHONPATH with the faulty drivers as an installed package would offer them."""
    package = directory / "packages" / "merope_faulty-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: merope-faulty\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(_ENTRY_POINTS)
    return os.pathsep.join(map(str, (package.parent, ROOT, ROOT / "src")))


def runs(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def deploy(behaviour: str, effect_id: int = 1, host: str = "localhost", **more: str) -> Job:
    template = Template([("BEHAVIOUR", behaviour), *more.items()])
    vm = VM(id=3, uid=0, gid=0, uname="", gname="", name="vm", user_template=template)
    if behaviour == "network":
        template.set("BEHAVIOUR", "well")
        vm.template.add("NIC", Vector(NIC_ID="0", VN_MAD="noting"))
    vm.history_records = [History(3, 0, host, 0, 0, 1, vm_mad="faulty", tm_mad="shared", ds_id=0)]
    return Job(Effect(effect_id, "vm.deploy", 3, 0), vm=vm)


async def ask(pool: WorkerPool, job: Job, seconds: float = 30) -> Answer:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    pool.submit(job, seconds, future.set_result)
    return await future


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - processes and files tell nobody of their changes
            await asyncio.sleep(0.01)
