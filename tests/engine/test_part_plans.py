"""What plans do with drivers when parts of a VM are plugged, snapped and saved, and what they undo."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from merope.drivers.errors import DriverError
from merope.drivers.simulated.hypervisor import SimulatedHypervisor
from merope.drivers.simulated.network import SimulatedNetwork
from merope.drivers.simulated.storage import SimulatedFile
from merope.drivers.simulated.world import SimulatedDomain, World
from merope.engine import plans
from merope.engine.job import Answer, Job
from merope.engine.places import Layout
from merope.engine.toolbox import SimulatedDrivers
from merope.model.effect import Effect
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.template import Template, Vector
from merope.model.vm import VM, History

TEMPLATE = """
MEMORY = 128
CONTEXT = [ DISK_ID = 1, ETH0_MAC = "02:00", ETH1_MAC = "02:01", ETH1_ALIAS0_MAC = "02:02" ]
DISK = [ DISK_ID = 0, IMAGE_ID = 0, TM_MAD = shared, SOURCE = "dummy_path/1/0", CLONE = YES, SIZE = 10 ]
NIC = [ NIC_ID = 0, VN_MAD = dummy ]
"""
PERSISTENT = Vector(
    DISK_ID="2", IMAGE_ID="5", TM_MAD="shared", SOURCE="dummy_path/1/5", CLONE="NO", SAVE="YES", SIZE="20"
)


class Drivers(SimulatedDrivers):
    """Hosts on which the calls named in `failing` fail."""

    def __init__(self, world: World, layout: Layout) -> None:
        super().__init__(world, layout, distinct_sources=True)
        self.failing: dict[str, DriverError] = {}

    def hypervisor(self, name: str, host: str, vm: VM | None = None) -> SimulatedHypervisor:
        made = SimulatedHypervisor(self.world, host)
        for call, error in self.failing.items():
            setattr(made, call, partial(fail, error))
        return made


def fail(error: DriverError, *_: object) -> None:
    raise error


class Cloud:
    """A VM 7 that runs on n1, with a persistent image 5 that it does not use."""

    def __init__(self) -> None:
        self.world = World()
        self.drivers = Drivers(self.world, Layout(Path("/var/lib/one/datastores")))
        storage = self.world.storage
        for number in (0, 5, 9):
            storage.images[f"dummy_path/1/{number}"] = SimulatedFile(10, "raw", storage.new_content())
        record = History(7, 0, "n1", 0, 0, 0, vm_mad="dummy", tm_mad="dummy", ds_id=0)
        self.vm = VM(
            7,
            0,
            0,
            "oneadmin",
            "oneadmin",
            "web",
            template=Template.parse(TEMPLATE),
            history_records=[record],
        )
        self.epoch = 0
        self.enter(Phase.PROLOG)
        self.done("vm.prolog")
        self.vm.deploy_id = self.done("vm.deploy").data["deploy_id"]
        self.world.guest_writes(7)

    def enter(self, phase: Phase) -> None:
        self.vm.state, self.vm.lcm_state = phase.value

    def run(self, op: str, target: Image | None = None, /, **arguments: int) -> Answer:
        self.epoch += 1
        effect = Effect(self.epoch, op, 7, 0, dict(arguments))
        return plans.run(self.drivers, Job.from_json(Job(effect, self.vm, image=target).to_json()))

    def done(self, op: str, target: Image | None = None, /, **arguments: int) -> Answer:
        answer = self.run(op, target, **arguments)
        assert answer.ok, answer.message
        assert self.world.violations == []
        return answer

    @property
    def domain(self) -> SimulatedDomain:
        place = self.world.place(7)
        assert place is not None
        return place[1]

    def file(self, name: str) -> SimulatedFile | None:
        return self.world.storage.find("n1", Path("/var/lib/one/datastores/0/7") / name)

    def disk(self, number: int) -> SimulatedFile:
        found = self.file(f"disk.{number}")
        assert found is not None
        return found


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def plug_persistent(cloud: Cloud) -> None:
    cloud.enter(Phase.HOTPLUG)
    cloud.vm.template.add("DISK", Vector(PERSISTENT))


def test_a_disk_is_brought_and_plugged_and_taken_back_to_its_image(cloud: Cloud) -> None:
    plug_persistent(cloud)
    for _ in range(2):
        cloud.done("vm.attach_disk", disk=2)
    assert [path.name for path in cloud.domain.disks] == ["disk.0", "disk.1", "disk.2"]
    cloud.world.guest_writes(7)
    written = cloud.disk(2).content
    for _ in range(2):
        cloud.done("vm.detach_disk", disk=2)
    assert cloud.file("disk.2") is None
    assert cloud.world.storage.image("dummy_path/1/5").content == written


def test_the_file_of_a_disk_that_could_not_be_plugged_is_taken_away(cloud: Cloud) -> None:
    plug_persistent(cloud)
    cloud.drivers.failing["attach_disk"] = DriverError("no slot is free")
    answer = cloud.run("vm.attach_disk", disk=2)
    assert (answer.ok, answer.message) == (False, "no slot is free")
    assert cloud.file("disk.2") is None
    assert "dummy_path/1/5" in cloud.world.storage.images


def test_where_the_host_cannot_be_asked_the_file_stays_since_the_disk_may_be_in_use(cloud: Cloud) -> None:
    plug_persistent(cloud)
    lost = DriverError("the line broke", retry_safe=True)
    cloud.drivers.failing.update(attach_disk=lost, detach_disk=lost)
    answer = cloud.run("vm.attach_disk", disk=2)
    assert (answer.ok, answer.retry_safe) == (False, True)
    assert cloud.file("disk.2") is not None


def test_what_an_attempt_that_was_given_up_left_is_not_what_the_next_one_plugs(cloud: Cloud) -> None:
    volatile = Vector(DISK_ID="2", TYPE="fs", FORMAT="raw", SIZE="5")
    cloud.vm.template.add("DISK", volatile)
    cloud.enter(Phase.HOTPLUG)
    lost = DriverError("the line broke")
    cloud.drivers.failing.update(attach_disk=lost, detach_disk=lost)
    cloud.run("vm.attach_disk", disk=2)
    old = cloud.disk(2).content
    cloud.drivers.failing.clear()
    cloud.done("vm.attach_disk", disk=2)
    new = cloud.disk(2).content
    assert new != old
    cloud.done("vm.attach_disk", disk=2)
    assert cloud.disk(2).content == new


def test_a_disk_that_the_guest_keeps_is_not_taken_from_under_it(cloud: Cloud) -> None:
    plug_persistent(cloud)
    cloud.done("vm.attach_disk", disk=2)
    cloud.drivers.failing["detach_disk"] = DriverError("the guest did not let go")
    assert not cloud.run("vm.detach_disk", disk=2).ok
    assert cloud.file("disk.2") is not None


def test_a_disk_that_the_vm_does_not_have_is_refused(cloud: Cloud) -> None:
    answer = cloud.run("vm.attach_disk", disk=4)
    assert (answer.ok, answer.message) == (False, "VM 7 has no disk 4")


def test_a_disk_comes_to_and_goes_from_a_vm_that_is_off(cloud: Cloud) -> None:
    cloud.done("vm.cancel")
    plug_persistent(cloud)
    cloud.enter(Phase.HOTPLUG_PROLOG_POWEROFF)
    for _ in range(2):
        cloud.done("vm.prolog_attach", disk=2)
    assert cloud.disk(2).image == "dummy_path/1/5"
    cloud.enter(Phase.HOTPLUG_EPILOG_POWEROFF)
    for _ in range(2):
        cloud.done("vm.epilog_detach", disk=2)
    assert cloud.file("disk.2") is None


def plug_nic(cloud: Cloud) -> None:
    cloud.enter(Phase.HOTPLUG_NIC)
    cloud.vm.template.add("NIC", Vector(NIC_ID="1", VN_MAD="dummy"))


def test_a_nic_is_prepared_plugged_and_told_to_the_guest(cloud: Cloud) -> None:
    plug_nic(cloud)
    before = cloud.disk(1).content
    cloud.done("vm.attach_nic", nic=1)
    assert cloud.domain.nics == {0, 1}
    assert cloud.world.host("n1").nics == {(7, 0), (7, 1)}
    assert cloud.disk(1).content != before
    assert cloud.world.counters["renew_context"] == 1
    for _ in range(2):
        cloud.done("vm.detach_nic", nic=1)
    assert cloud.domain.nics == {0}
    assert cloud.world.host("n1").nics == {(7, 0)}


@pytest.mark.parametrize("failing", ["attach_nic", "renew_context"])
def test_a_nic_that_could_not_be_plugged_leaves_nothing(cloud: Cloud, failing: str) -> None:
    plug_nic(cloud)
    cloud.drivers.failing[failing] = DriverError("it cannot be done")
    assert not cloud.run("vm.attach_nic", nic=1).ok
    assert cloud.domain.nics == {0}
    assert cloud.world.host("n1").nics == {(7, 0)}


def test_an_alias_is_nothing_that_is_plugged_but_the_guest_is_told(cloud: Cloud) -> None:
    cloud.enter(Phase.HOTPLUG_NIC)
    alias = Vector(NIC_ID="1", PARENT_ID="0", PARENT="NIC0", ALIAS_ID="0", VN_MAD="dummy")
    cloud.vm.template.add("NIC_ALIAS", alias)
    cloud.done("vm.attach_nic", nic=1)
    assert cloud.domain.nics == {0}
    assert cloud.world.counters["attach_nic"] == 0
    cloud.done("vm.detach_nic", nic=1)
    assert cloud.world.counters["renew_context"] == 2


def test_the_nic_of_an_alias_is_told_of_one_address_more_and_of_one_less(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int | None, int]] = []

    def post(self: SimulatedNetwork, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:
        told.append((nic_id, len(vm.template.vectors("NIC_ALIAS"))))

    monkeypatch.setattr(SimulatedNetwork, "post", post)
    cloud.enter(Phase.HOTPLUG_NIC)
    cloud.vm.template.add("NIC_ALIAS", Vector(NIC_ID="1", PARENT_ID="0", ALIAS_ID="0", VN_MAD="dummy"))
    cloud.done("vm.attach_nic", nic=1)
    assert told == [(1, 1), (0, 1)]
    cloud.done("vm.detach_nic", nic=1)
    assert told[2:] == [(0, 0)]
    assert len(cloud.vm.template.vectors("NIC_ALIAS")) == 1


@pytest.mark.parametrize(
    ("tag", "nic", "kept"),
    [
        ("NIC", Vector(NIC_ID="1"), {"ETH0_MAC"}),
        ("NIC_ALIAS", Vector(NIC_ID="4", PARENT_ID="1", ALIAS_ID="0"), {"ETH0_MAC", "ETH1_MAC"}),
    ],
)
def test_a_guest_is_not_told_of_what_is_being_taken_away(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tag: str, nic: Vector, kept: set[str]
) -> None:
    told: list[set[str]] = []
    transfer = cloud.drivers.transfer("dummy")
    monkeypatch.setattr(transfer, "make_context", lambda context, _: told.append(set(context.variables)))
    cloud.vm.template.add(tag, nic)
    cloud.enter(Phase.HOTPLUG_NIC)
    cloud.done("vm.detach_nic", nic=int(nic["NIC_ID"]))
    assert told == [kept | {"DISK_ID"}]


def test_a_vm_that_is_off_has_its_nics_plugged_without_a_word_to_the_guest(cloud: Cloud) -> None:
    plug_nic(cloud)
    cloud.enter(Phase.HOTPLUG_NIC_POWEROFF)
    cloud.done("vm.attach_nic", nic=1)
    assert cloud.world.counters["renew_context"] == 0


def test_a_new_context_is_written_and_shown(cloud: Cloud) -> None:
    cloud.enter(Phase.HOTPLUG)
    before = cloud.disk(1).content
    cloud.done("vm.update_conf")
    assert cloud.disk(1).content != before
    assert cloud.world.counters["renew_context"] == 1


def test_a_snapshot_has_the_hypervisors_name(cloud: Cloud) -> None:
    cloud.enter(Phase.HOTPLUG_SNAPSHOT)
    before = cloud.disk(0).content
    cloud.vm.template.add("SNAPSHOT", Vector(SNAPSHOT_ID="3"))
    assert cloud.done("vm.snapshot_create", snapshot=3).data == {"hypervisor_id": "snap-3"}
    cloud.world.guest_writes(7)
    cloud.vm.template.set("SNAPSHOT", Vector(SNAPSHOT_ID="3", HYPERVISOR_ID="snap-3"))
    cloud.done("vm.snapshot_revert", snapshot=3)
    assert cloud.disk(0).content == before
    for _ in range(2):
        cloud.done("vm.snapshot_delete", snapshot=3)
    assert not cloud.run("vm.snapshot_revert", snapshot=3).ok


def test_a_snapshot_that_the_vm_does_not_have_is_refused(cloud: Cloud) -> None:
    assert cloud.run("vm.snapshot_revert", snapshot=3).message == "VM 7 has no snapshot 3"


def off(cloud: Cloud) -> None:
    cloud.done("vm.cancel")


def running(cloud: Cloud) -> None:
    """It runs."""


@pytest.mark.parametrize(
    ("prepare", "create", "delete"),
    [
        (running, Phase.DISK_SNAPSHOT, Phase.DISK_SNAPSHOT_DELETE),
        (off, Phase.DISK_SNAPSHOT_POWEROFF, Phase.DISK_SNAPSHOT_DELETE_POWEROFF),
        (off, Phase.DISK_SNAPSHOT_SUSPENDED, Phase.DISK_SNAPSHOT_DELETE_SUSPENDED),
    ],
)
def test_a_disk_is_snapped_running_or_not(
    cloud: Cloud, prepare: Callable[[Cloud], None], create: Phase, delete: Phase
) -> None:
    prepare(cloud)
    before = cloud.disk(0).content
    cloud.enter(create)
    for _ in range(2):
        cloud.done("vm.disk_snapshot_create", disk=0, snapshot=0)
    kept = cloud.file("disk.0.snap.0")
    assert kept is not None
    assert kept.content == before
    assert cloud.world.counters["disk_copy"] == (1 if prepare is running else 0)
    cloud.enter(delete)
    for _ in range(2):
        cloud.done("vm.disk_snapshot_delete", disk=0, snapshot=0)
    assert cloud.file("disk.0.snap.0") is None


def test_a_disk_is_what_its_snapshot_was(cloud: Cloud) -> None:
    before = cloud.disk(0).content
    cloud.enter(Phase.DISK_SNAPSHOT)
    cloud.done("vm.disk_snapshot_create", disk=0, snapshot=0)
    cloud.world.guest_writes(7)
    off(cloud)
    cloud.enter(Phase.DISK_SNAPSHOT_REVERT_POWEROFF)
    for _ in range(2):
        cloud.done("vm.disk_snapshot_revert", disk=0, snapshot=0)
    assert cloud.disk(0).content == before


def test_a_disk_grows_where_it_is(cloud: Cloud) -> None:
    cloud.enter(Phase.DISK_RESIZE)
    cloud.done("vm.disk_resize", disk=0, size=30)
    assert cloud.disk(0).size == 30
    off(cloud)
    cloud.enter(Phase.DISK_RESIZE_POWEROFF)
    cloud.done("vm.disk_resize", disk=0, size=40)
    assert cloud.disk(0).size == 40
    cloud.enter(Phase.EPILOG_UNDEPLOY)
    cloud.done("vm.epilog_stop")
    cloud.enter(Phase.DISK_RESIZE_UNDEPLOYED)
    cloud.done("vm.disk_resize", disk=0, size=50)
    assert cloud.disk(0).size == 50
    assert cloud.world.counters["disk_resize"] == 1


@pytest.mark.parametrize(
    ("prepare", "phase"),
    [
        (running, Phase.HOTPLUG_SAVEAS),
        (off, Phase.HOTPLUG_SAVEAS_POWEROFF),
        (off, Phase.HOTPLUG_SAVEAS_SUSPENDED),
    ],
)
def test_a_disk_is_saved_in_the_format_that_its_image_has(
    cloud: Cloud, prepare: Callable[[Cloud], None], phase: Phase
) -> None:
    prepare(cloud)
    cloud.enter(phase)
    image = Image(9, 0, 0, "oneadmin", "oneadmin", "saved", source="dummy_path/1/9", fstype="qcow2")
    for _ in range(2):
        answer = cloud.done("vm.save_as", image, disk=0, image=9, snapshot=-1)
        assert answer.data == {"source": "dummy_path/1/9", "format": "qcow2"}
    saved = cloud.world.storage.image("dummy_path/1/9")
    assert (saved.content, saved.image_format) == (cloud.disk(0).content, "qcow2")


def test_the_snapshot_of_a_running_guests_disk_is_saved_without_it(cloud: Cloud) -> None:
    before = cloud.disk(0).content
    cloud.enter(Phase.DISK_SNAPSHOT)
    cloud.done("vm.disk_snapshot_create", disk=0, snapshot=0)
    cloud.world.guest_writes(7)
    cloud.enter(Phase.HOTPLUG_SAVEAS)
    image = Image(9, 0, 0, "oneadmin", "oneadmin", "saved", source="dummy_path/1/9", fstype="raw")
    cloud.done("vm.save_as", image, disk=0, image=9, snapshot=0)
    assert cloud.world.storage.image("dummy_path/1/9").content == before
    assert cloud.world.counters["disk_copy"] == 1


def test_the_rules_of_a_security_group_reach_the_networks_of_a_vm(cloud: Cloud) -> None:
    cloud.enter(Phase.RUNNING)
    cloud.done("vm.update_sg", secgroup=2)
    assert cloud.world.filtered == {(7, 2): 1}
    assert isinstance(cloud.drivers.network("dummy", "n1"), SimulatedNetwork)
