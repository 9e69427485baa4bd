"""What plans ask of drivers whose disks are on storages, or are carried to hosts of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from merope.drivers.carrier import Carrier
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain, Hypervisor
from merope.drivers.replicas import Replicas
from merope.drivers.simulated.world import World
from merope.drivers.transfer.base import Place, Transfer
from merope.drivers.transfer.storage import StorageTransfer
from merope.engine import plans
from merope.engine.job import Answer, Job
from merope.engine.jobs import replica_of
from merope.engine.places import Layout
from merope.engine.plans.base import Drivers, transfer_name
from merope.engine.toolbox import SimulatedDrivers
from merope.model.datastore import Datastore
from merope.model.effect import Effect
from merope.model.phase import Phase
from merope.model.template import Template, Vector
from merope.model.vm import VM, History

ROOT = Path("/ds")
DISKS = """
DISK = [ DISK_ID = 0, IMAGE_ID = 3, TM_MAD = ceph, SOURCE = "one/one-3", CLONE = YES, TARGET = vda ]
DISK = [ DISK_ID = 1, IMAGE_ID = 4, TM_MAD = ceph, SOURCE = "one/one-4", SAVE = YES, TARGET = vdb ]
DISK = [ DISK_ID = 2, TYPE = fs, SIZE = 8, TARGET = vdc ]
CONTEXT = [ DISK_ID = 3, TARGET = hda ]
"""
OWN = """
DISK = [ DISK_ID = 0, IMAGE_ID = 3, TM_MAD = ssh, SOURCE = "/ds/1/a", CLONE = YES, TARGET = vda ]
DISK = [ DISK_ID = 1, IMAGE_ID = 4, TM_MAD = ssh, SOURCE = "/ds/1/b", READONLY = YES, TARGET = vdb ]
CONTEXT = [ DISK_ID = 2, TARGET = hda ]
"""


class Noted:
    """Of whatever is asked, the name and the words are written down."""

    def __init__(self, notes: list[str], name: str) -> None:
        self._notes, self._name = notes, name

    def note(self, call: str, *words: object) -> None:
        self._notes.append(" ".join([self._name, call, *map(str, words)]).strip())


class NotedStorage(Noted, StorageTransfer):
    """Notes by the DISK_ID that it was made for; without one it is the system datastore's."""

    def __init__(self, notes: list[str]) -> None:
        Noted.__init__(self, notes, "storage")
        StorageTransfer.__init__(self, ROOT)

    @property
    def _of(self) -> str:
        return f"of {self.disk['DISK_ID']}" if hasattr(self, "disk") else "of the directory"

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        self.note("clone", self._of, source)

    def link(self, source: Path, target: Place, image_format: str) -> None:
        self.note("link", self._of, source)

    def save_back(self, disk: Place, source: Path) -> None:
        self.note("save_back", self._of)

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        self.note("make_image", self._of)

    def delete(self, target: Place) -> None:
        self.note("delete", self._of)

    def activate(self, disk: Place) -> None:
        self.note("activate", self._of)

    def deactivate(self, disk: Place) -> None:
        self.note("deactivate", self._of)


class NotedHypervisor(Noted):
    running = False

    def domains(self) -> list[Domain]:
        return []

    def cancel(self, deploy_id: str) -> None:
        self.note("cancel")

    def migrate(self, deploy_id: str, destination: str, copied: Sequence[str] = ()) -> None:
        self.note("migrate to", destination, *copied)


class NotedCarrier(Noted):
    """The source host has a disk, an image that is only read, CONTEXT, and what is on its way."""

    def has(self, place: Place) -> bool:
        return place.host == "n1"

    def names(self, directory: Place) -> list[str]:
        return [".disk.0.coming", "disk.0", "disk.1", "disk.2"]

    def disk_size(self, disk: Place, image_format: str) -> int:
        return 12345

    def copy(self, source: Place, target: Place, *, follow: bool = False) -> None:
        self.note("copy", source.path.name, "to", target.host)

    def make_disk(self, disk: Place, image_format: str, size: int) -> None:
        self.note("make_disk", disk.path.name, image_format, size, "on", disk.host)


class NotedReplicas(Noted):
    def copy(self, source: Path, target: Place, attributes: Mapping[str, str]) -> None:
        self.note("copy", source.name, "to", target.host, *attributes.values())


class NotedDrivers(SimulatedDrivers):
    """Hosts n1 and n2 are other machines."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__(World(), Layout(ROOT))
        self.notes = notes
        self.far = frozenset({"n1", "n2"})

    def hypervisor(self, name: str, host: str, vm: VM | None = None) -> Hypervisor:
        return cast("Hypervisor", NotedHypervisor(self.notes, f"on {host}"))

    def transfer(self, name: str, system: str = "") -> Transfer:
        return NotedStorage(self.notes)

    @property
    def carrier(self) -> Carrier:
        return cast("Carrier", NotedCarrier(self.notes, "carrier"))

    @property
    def replicas(self) -> Replicas:
        return cast("Replicas", NotedReplicas(self.notes, "replicas"))


def run(
    op: str,
    disks: str,
    system: str,
    phase: Phase = Phase.RUNNING,
    source: str = "",
    replica: Mapping[str, str] | None = None,
) -> tuple[Answer, list[str]]:
    """The plan for VM 7 on n1, or on its way from there to n2; answers what was noted."""
    record = History(7, 1, "n2" if source else "n1", 0, 0, 0, vm_mad="kvm", tm_mad=system, ds_id=0)
    left = History(7, 0, source, 0, 0, 0, vm_mad="kvm", tm_mad=system, ds_id=0) if source else None
    vm = VM(7, 0, 0, "oneadmin", "oneadmin", "web", template=Template.parse(disks), history_records=[record])
    vm.state, vm.lcm_state = phase.value
    notes: list[str] = []
    drivers = cast("Drivers", NotedDrivers(notes))
    job = Job(Effect(1, op, 7, 0, {}), vm, source=left, replica=replica or {})
    return plans.run(drivers, Job.from_json(job.to_json())), notes


@pytest.mark.parametrize(
    ("image", "system", "used"),
    [
        ("ceph", "ceph", "ceph"),
        ("ceph", "shared", "ceph"),
        ("ceph", "ssh", "ceph"),
        ("fs_lvm", "fs_lvm", "fs_lvm"),
        ("shared", "ssh", "ssh"),
        ("qcow2", "ssh", "ssh"),
        ("ssh", "ssh", "ssh"),
        ("somebodys", "ssh", "somebodys"),
    ],
)
def test_who_brings_an_image_to_a_system_datastore(image: str, system: str, used: str) -> None:
    disk = Vector(IMAGE_ID="1", TM_MAD=image)
    if image != system:
        disk["TM_MAD_SYSTEM"] = system
    assert transfer_name(disk, system) == used
    assert transfer_name(Vector(TYPE="fs"), system) == system


def test_disks_on_a_storage_are_brought_one_by_one_and_not_carried() -> None:
    answer, notes = run("vm.prolog", DISKS, "ceph", Phase.PROLOG)
    assert answer.ok, answer.message
    assert notes == ["storage clone of 0 one/one-3", "storage link of 1 one/one-4", "storage make_image of 2"]


def test_a_vm_that_ends_takes_its_disks_off_the_storage_before_its_directory() -> None:
    answer, notes = run("vm.epilog", DISKS, "ceph", Phase.EPILOG)
    assert answer.ok, answer.message
    assert notes[1:] == [
        "storage save_back of 1",
        *(f"storage delete of {number}" for number in range(3)),
        "storage delete of the directory",
    ]


def test_a_guest_whose_disks_are_on_a_storage_moves_with_its_directory_alone() -> None:
    answer, notes = run("vm.migrate", DISKS, "ceph", Phase.MIGRATE, source="n1")
    assert answer.ok, answer.message
    assert notes == [
        *(f"storage activate of {number}" for number in range(3)),
        *(f"carrier copy disk.{number} to n2" for number in range(3)),
        "on n1 migrate to n2",
        *(f"storage deactivate of {number}" for number in range(3)),
        "storage delete of the directory",
    ]


def test_a_guest_with_disks_of_its_hosts_own_has_empty_ones_waiting_where_it_goes() -> None:
    answer, notes = run("vm.migrate", OWN, "ssh", Phase.MIGRATE, source="n1")
    assert answer.ok, answer.message
    moves = [note for note in notes if not note.startswith("storage")]
    assert moves == [
        "carrier copy disk.1 to n2",
        "carrier copy disk.2 to n2",
        "carrier make_disk disk.0 raw 12345 on n2",
        "on n1 migrate to n2 vda",
    ]


def test_what_was_brought_for_a_guest_that_did_not_move_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DriverError("no")

    monkeypatch.setattr(NotedHypervisor, "migrate", refuse)
    answer, notes = run("vm.migrate", OWN, "ssh", Phase.MIGRATE, source="n1")
    assert not answer.ok
    assert notes[-1] == "storage delete of the directory"


def test_a_guest_with_snapshots_in_its_own_disks_does_not_move_live() -> None:
    answer, notes = run(
        "vm.migrate", f"{OWN}SNAPSHOT = [ SNAPSHOT_ID = 0 ]", "ssh", Phase.MIGRATE, source="n1"
    )
    assert "would be lost" in answer.message
    assert not [note for note in notes if "migrate" in note or "carrier" in note]


def test_a_host_is_not_asked_for_the_context_where_its_vm_has_no_files() -> None:
    _, notes = run("vm.deploy", DISKS, "ceph", Phase.BOOT)
    assert not [note for note in notes if note.startswith("carrier")]


@pytest.mark.parametrize("replica", [{}, {"REPLICA_HOST": "n3"}])
def test_images_that_disks_are_copied_from_come_by_their_replicas_and_others_do_not(
    tmp_path: Path, replica: dict[str, str]
) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    disks = OWN.replace("/ds/1", str(tmp_path)).replace("READONLY", "SAVE")
    answer, notes = run("vm.prolog", disks, "ssh", Phase.PROLOG, source="n1", replica=replica)
    assert answer.ok, answer.message
    first = "replicas copy a to n2 n3" if replica else "carrier copy a to n2"
    assert notes[:2] == [first, "carrier copy b to n2"]


def test_what_is_said_of_replicas_counts_where_they_have_a_host() -> None:
    def said(text: str) -> dict[str, str]:
        template = Template.parse(text)
        return replica_of(Datastore(100, 0, 0, "oneadmin", "oneadmin", "ssh", template=template))

    assert said("REPLICA_MAX_SIZE_MB = 5\nTM_MAD = ssh") == {}
    assert said("REPLICA_MAX_SIZE_MB = 5\nREPLICA_HOST = n3\nTM_MAD = ssh") == {
        "REPLICA_HOST": "n3",
        "REPLICA_MAX_SIZE_MB": "5",
    }
    assert replica_of(None) == {}
