"""VMs on a real Ceph cluster that two hosts reach by the network: images, disks and volatile disks there.

The cluster asks for keys (cephx): guests' disks get theirs from a secret of libvirt on each host.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.drivers.ceph_cluster import CephCluster, running, why_not
from tests.e2e.cloud import RUNNING, BedCloud, BedVm
from tests.e2e.making import running_cloud, temporary_bed
from tests.real.machine import eventually

from merope.model.states import VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]


@dataclass
class CephCloud(BedCloud):
    """A cloud whose datastores are pools of a cluster."""

    ceph: CephCluster | None = None

    def prepare(self, image: Path, transfer: str = "ceph") -> None:
        assert self.ceph is not None
        stated = "\n".join(f'{name}="{value}"' for name, value in self.ceph.attributes.items())
        of_system = f"NAME=disks\nTYPE=SYSTEM_DS\nTM_MAD={transfer}\nDISK_TYPE=RBD\n{stated}"
        self.system = self.ask("one.datastore.allocate", of_system, -1)
        of_images = (
            f"NAME=images\nDS_MAD=ceph\nTM_MAD={transfer}\nDISK_TYPE=RBD\nBRIDGE_LIST=localhost\n{stated}"
        )
        self.store = self.ask("one.datastore.allocate", of_images, -1)
        with tempfile.TemporaryDirectory(prefix="merope-", dir="/var/tmp") as offered:
            copy = shutil.copy(image, offered)
            text = f'NAME=guest\nTYPE=OS\nPATH="{copy}"\nDEV_PREFIX=vd'
            self.image = self.ask("one.image.allocate", text, self.store)
            self.wait_for_image(self.image)
        self.prepare_network()

    def volumes(self) -> list[str]:
        assert self.ceph is not None
        return sorted(self.ceph.rbd("ls", "one").split())


@pytest.fixture(scope="module")
def cloud() -> Iterator[CephCloud]:
    reason = why_not()
    if reason:
        pytest.skip(f"no cluster of Ceph can be started: {reason}")
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    with temporary_bed(2) as bed, running(str(bed.gateway)) as cluster:
        for host in bed.hosts:
            cluster.tell_libvirt(host.libvirt_uri)
        made = CephCloud(bed, home, bed.local / "datastores", ceph=cluster)
        with running_cloud(made, "ceph") as cloud:
            assert isinstance(cloud, CephCloud)
            yield cloud


@pytest.fixture(scope="module")
def vm(cloud: CephCloud) -> BedVm:
    """One VM for the tests below, in their order; each leaves it running."""
    template = (
        f"CPU=0.1\nMEMORY=128\nDISK=[IMAGE_ID={cloud.image}]\nDISK=[TYPE=fs,SIZE=8,FORMAT=raw,DEV_PREFIX=vd]\n"
        f"NIC=[NETWORK_ID={cloud.network},MODEL=virtio]\nCONTEXT=[NETWORK=YES]\n"
        f'SCHED_DS_REQUIREMENTS="ID={cloud.system}"\nSCHED_REQUIREMENTS="NAME=\\"node1\\""\n'
    )
    return BedVm(cloud, cloud.ask("one.vm.allocate", template, False)).run()


def files(cloud: CephCloud, vm: BedVm) -> list[str]:
    """The hosts that have a directory of it."""
    path = (cloud.location / str(cloud.system) / str(vm.id)).relative_to(cloud.bed.local)
    return [host.name for host in cloud.bed.hosts if (host.place / "local" / path).exists()]


def test_a_guest_runs_from_volumes_with_the_names_of_5_12(cloud: CephCloud, vm: BedVm) -> None:
    image = f"one-{cloud.image}"
    assert cloud.volumes() == sorted([image, f"{image}-{vm.id}-0", f"one-sys-{vm.id}-1"])
    assert vm.guest.has("vdb")
    assert files(cloud, vm) == ["node1"]


def test_guests_give_the_cluster_the_name_and_the_secret_of_their_datastore(
    cloud: CephCloud, vm: BedVm
) -> None:
    argv = ("virsh", "--connect", cloud.bed.host("node1").libvirt_uri, "dumpxml", f"one-{vm.id}")
    domain = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert domain.count("<auth username='libvirt'>") == 2
    assert cloud.ceph is not None
    assert cloud.ceph.key.read_text().strip() not in domain


def test_the_disk_of_a_running_guest_returns_to_its_snapshot(cloud: CephCloud, vm: BedVm) -> None:
    vm.guest.get("/cgi-bin/note?write=before")
    cloud.ask("one.vm.disksnapshotcreate", vm.id, 0, "kept")
    vm.wait_for(RUNNING)
    vm.guest.get("/cgi-bin/note?write=after")
    vm.act("poweroff")
    vm.wait_for(VmState.POWEROFF)
    cloud.ask("one.vm.disksnapshotrevert", vm.id, 0, 0)
    vm.wait_for(VmState.POWEROFF)
    vm.act("resume")
    assert vm.run().guest.get("/cgi-bin/note") == "before\n"


@pytest.mark.runs("transfer/ceph", "make_context", where="here")
def test_a_guest_moves_live_and_its_directory_goes_along(cloud: CephCloud, vm: BedVm) -> None:
    boot = vm.guest.boot_id()
    vm.migrate("node2", live=True)
    eventually("it is on node2", lambda: vm.host == "node2", 90)
    vm.wait_for(RUNNING)
    assert vm.guest.boot_id() == boot
    assert cloud.runs_on(vm.id) == ["node2"]
    eventually("its files are there alone", lambda: files(cloud, vm) == ["node2"])


def test_a_saved_guest_goes_on_elsewhere(cloud: CephCloud, vm: BedVm) -> None:
    boot = vm.guest.boot_id()
    vm.migrate("node1")
    eventually("it is on node1", lambda: vm.host == "node1", 90)
    assert vm.run().guest.boot_id() == boot
    eventually("its files are there alone", lambda: files(cloud, vm) == ["node1"])


@pytest.mark.runs("transfer/ceph", "image_target", where="here")
def test_the_disk_of_a_running_guest_is_saved_as_an_image(cloud: CephCloud, vm: BedVm) -> None:
    boot = vm.guest.boot_id()
    image = cloud.ask("one.vm.disksaveas", vm.id, 0, "saved", "OS", -1)
    assert cloud.wait_for_image(image).findtext("SOURCE") == f"one/one-{image}"
    vm.wait_for(RUNNING)
    assert vm.guest.boot_id() == boot
    assert f"one-{image}" in cloud.volumes()
    cloud.ask("one.image.delete", image)
    eventually("its volume is gone", lambda: f"one-{image}" not in cloud.volumes())


def test_a_disk_grows_under_the_guest(cloud: CephCloud, vm: BedVm) -> None:
    assert cloud.ceph is not None
    cloud.ask("one.vm.diskresize", vm.id, 1, "16")
    vm.wait_for(RUNNING)
    assert '"size":16777216' in cloud.ceph.rbd("info", "--format", "json", f"one/one-sys-{vm.id}-1")


def test_images_are_handed_to_the_pool_by_a_host_of_the_bridge_list(cloud: CephCloud) -> None:
    """The first of them is not there, and the next one is asked."""
    assert cloud.ceph is not None
    stated = "\n".join(f'{name}="{value}"' for name, value in cloud.ceph.attributes.items())
    store = cloud.ask(
        "one.datastore.allocate",
        f'NAME=bridged\nDS_MAD=ceph\nTM_MAD=ceph\nDISK_TYPE=RBD\nBRIDGE_LIST="absent node2"\n{stated}',
        -1,
    )
    with tempfile.TemporaryDirectory(prefix="merope-", dir="/var/tmp") as offered:
        content = Path(offered, "content")
        content.write_bytes(b"by a bridge" * 100_000)
        Path(offered).chmod(0o755)
        text = f'NAME=bridged\nTYPE=DATABLOCK\nPATH="{content}"\nDEV_PREFIX=vd'
        image = cloud.ask("one.image.allocate", text, store)
        source = cloud.wait_for_image(image).findtext("SOURCE", "")
        cloud.ceph.rbd("export", source, f"{offered}/back")
        assert Path(offered, "back").read_bytes().rstrip(b"\0") == content.read_bytes()
    made = cloud.ask("one.image.allocate", "NAME=made\nTYPE=DATABLOCK\nSIZE=8\nFS=ext4\nFORMAT=raw", store)
    cloud.wait_for_image(made)
    copy = cloud.ask("one.image.clone", image, "copied", store)
    cloud.wait_for_image(copy)
    for each in (copy, made, image):
        cloud.ask("one.image.delete", each)
    eventually(
        "their volumes are gone", lambda: not {f"one-{n}" for n in (copy, made, image)} & set(cloud.volumes())
    )


def test_a_vm_that_ends_leaves_the_image_alone(cloud: CephCloud, vm: BedVm) -> None:
    vm.remove()
    eventually("its volumes are gone", lambda: cloud.volumes() == [f"one-{cloud.image}"])
    assert files(cloud, vm) == []
    assert cloud.runs_on(vm.id) == []
