"""A VM's disks: images, volatile ones, devices and the boot order."""

import pytest
from tests.core.vm_world import ANN, DISK, PERSISTENT, Cloud, check

from merope.core import vm_disks
from merope.model.errors import Code
from merope.model.image import Image
from merope.model.states import ImageState
from merope.model.template import Template, Vector
from merope.model.vm import VM

SMALL = "CPU=1\nMEMORY=1\n"


def disks(cloud: Cloud, oid: int) -> list[Vector]:
    return cloud.get(VM, oid).template.vectors("DISK")


def test_a_disk_is_named_by_id_or_by_name_and_owner() -> None:
    cloud = Cloud()
    named = ("IMAGE_ID=0", "IMAGE=disk", "IMAGE=disk,IMAGE_UNAME=ann", "IMAGE=disk,IMAGE_UID=2")
    oid = cloud.vm(SMALL + "\n".join(f"DISK=[{words}]" for words in named))
    assert [disk["IMAGE_ID"] for disk in disks(cloud, oid)] == ["0"] * 4
    assert [disk["DISK_ID"] for disk in disks(cloud, oid)] == ["0", "1", "2", "3"]
    assert cloud.get(Image, DISK).running_vms == 4
    check(cloud)
    other = cloud.vm(f"{SMALL}DISK=[IMAGE=disk,IMAGE_UNAME=ann]", who=0)
    assert disks(cloud, other)[0]["IMAGE_ID"] == "0"
    for wrong in ("IMAGE=disk", "IMAGE=disk,IMAGE_UNAME=nobody", "IMAGE=disk,IMAGE_UID=77"):
        assert cloud.fails(0, "one.vm.allocate", f"{SMALL}DISK=[{wrong}]").code is Code.INTERNAL


def test_a_persistent_image_is_written_by_one_vm_at_a_time() -> None:
    cloud = Cloud()
    text = f"{SMALL}DISK=[IMAGE_ID={PERSISTENT}]"
    oid = cloud.vm(text)
    [disk] = disks(cloud, oid)
    assert (disk["CLONE"], disk["SAVE"], disk["PERSISTENT"]) == ("NO", "YES", "YES")
    error = cloud.fails(ANN, "one.vm.allocate", text)
    assert f"Cannot acquire image {PERSISTENT}, it is persistent and already in use" in error.message
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    assert cloud.vm(text) == oid + 1
    check(cloud)


def test_an_image_that_cannot_be_used_refuses_the_vm() -> None:
    cloud = Cloud()
    cloud.call(ANN, "one.image.enable", DISK, False)
    error = cloud.fails(ANN, "one.vm.allocate", f"{SMALL}DISK=[IMAGE_ID={DISK}]")
    assert "it is in state: DISABLED" in error.message


def test_a_disk_may_be_larger_than_its_image_and_not_smaller() -> None:
    cloud = Cloud()
    oid = cloud.vm(f"{SMALL}DISK=[IMAGE_ID=0,SIZE=100]")
    [disk] = disks(cloud, oid)
    assert (disk["SIZE"], disk["ORIGINAL_SIZE"]) == ("100", "64")
    check(cloud)
    for size, detail in (
        ("63", "is smaller than the image's (64 MB)"),
        ("0", "SIZE attribute must be a positive integer value."),
        ("x", "SIZE attribute must be a positive integer value."),
        ("1.5", "SIZE attribute must be a positive integer value."),
    ):
        error = cloud.fails(ANN, "one.vm.allocate", f"{SMALL}DISK=[IMAGE_ID=0,SIZE={size}]")
        assert detail in error.message
    error = cloud.fails(ANN, "one.vm.allocate", f"{SMALL}DISK=[IMAGE_ID={PERSISTENT},SIZE=100]")
    assert "a persistent image cannot be resized" in error.message


def test_what_a_disk_has_from_its_image_cannot_be_chosen() -> None:
    cloud = Cloud()
    oid = cloud.vm(
        f'{SMALL}DISK=[IMAGE_ID=0,SOURCE="/etc/shadow",CLONE=NO,SAVE=YES,TM_MAD=evil,TM_MAD_SYSTEM=evil,'
        'TYPE=BLOCK,DATASTORE_ID=0,POOL_NAME=secret,CEPH_HOST=h,DISK_TYPE=RBD,CLUSTER_ID="7",'
        "DISK_SNAPSHOT_TOTAL_SIZE=-9,CACHE=none,IO=native,ORDER=1]"
    )
    [disk] = disks(cloud, oid)
    wanted = {
        "SOURCE": "/img/0",
        "CLONE": "YES",
        "SAVE": "NO",
        "TM_MAD": "dummy",
        "TYPE": "FILE",
        "DATASTORE_ID": "1",
        "DISK_TYPE": "FILE",
        "CLUSTER_ID": "0",
        "DISK_SNAPSHOT_TOTAL_SIZE": "0",
        "CACHE": "none",
        "IO": "native",
    }
    assert {key: disk.get(key) for key in wanted} == wanted
    assert not {"POOL_NAME", "CEPH_HOST", "TM_MAD_SYSTEM", "ORDER"} & set(disk)
    check(cloud)


def test_a_raw_image_is_not_read_as_qcow2() -> None:
    """What a guest wrote at the beginning of its disk would name files of the host."""
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.allocate", f"{SMALL}DISK=[IMAGE_ID=0,DRIVER=qcow2]")
    assert "DRIVER is qcow2, but image 0 is raw" in error.message
    cloud.call(ANN, "one.image.update", PERSISTENT, "DRIVER=qcow2", 1)
    error = cloud.fails(ANN, "one.vm.allocate", f"{SMALL}DISK=[IMAGE_ID={PERSISTENT}]")
    assert "DRIVER is qcow2, but image 1 is raw" in error.message
    assert disks(cloud, cloud.vm(f"{SMALL}DISK=[IMAGE_ID=0,DRIVER=raw]"))[0]["DRIVER"] == "raw"


def test_a_volatile_disk_says_its_kind_and_size() -> None:
    cloud = Cloud()
    oid = cloud.vm(f"{SMALL}DISK=[TYPE=swap,SIZE=10]\nDISK=[TYPE=fs,SIZE=5,FORMAT=qcow2,FS=ext4]")
    swap, filesystem = disks(cloud, oid)
    assert dict(swap) == {"DEV_PREFIX": "sd", "DISK_ID": "0", "SIZE": "10", "TARGET": "sda", "TYPE": "swap"}
    assert (filesystem["FORMAT"], filesystem["FS"], filesystem["TARGET"]) == ("qcow2", "ext4", "sdb")
    error = cloud.fails(ANN, "one.vm.allocate", f"{SMALL}DISK=[TYPE=fs,SIZE=5,FORMAT=vhd]")
    assert "FORMAT must be one of raw, qcow2, not vhd" in error.message


def test_what_a_volatile_disk_says_of_an_image_is_left_out() -> None:
    cloud = Cloud()
    oid = cloud.vm(f'{SMALL}DISK=[TYPE=fs,SIZE=5,SOURCE="/etc/shadow",TM_MAD=evil,IMAGE_ID="",CLONE=NO]')
    assert set(disks(cloud, oid)[0]) == {"DEV_PREFIX", "DISK_ID", "SIZE", "TARGET", "TYPE"}
    check(cloud)


def test_device_names_go_to_the_first_disk_the_context_cds_and_the_rest() -> None:
    cloud = Cloud()
    cd = cloud.call(ANN, "one.image.allocate", "NAME=cd\nTYPE=CDROM\nPATH=/var/tmp/cd.iso", 1, size=5)
    cloud.answer(op="image", source="/img/cd", format="raw")
    oid = cloud.vm(
        f"{SMALL}DISK=[IMAGE_ID={cd}]\nDISK=[IMAGE_ID=0,DEV_PREFIX=hd]\nDISK=[TYPE=swap,SIZE=1]\n"
        "DISK=[TYPE=fs,SIZE=1,TARGET=vdz]\nCONTEXT=[A=b]"
    )
    assert [disk["TARGET"] for disk in disks(cloud, oid)] == ["hdc", "hda", "sda", "vdz"]
    context = cloud.get(VM, oid).template.vector("CONTEXT")
    assert context is not None
    assert (context["TARGET"], context["DISK_ID"]) == ("hdb", "4")


def test_a_device_name_is_used_once() -> None:
    cloud = Cloud()
    error = cloud.fails(
        ANN, "one.vm.allocate", f"{SMALL}DISK=[TYPE=fs,SIZE=1,TARGET=sdb]\nDISK=[IMAGE_ID=0,TARGET=sdb]"
    )
    assert "TARGET sdb is used twice" in error.message
    error = cloud.fails(ANN, "one.vm.allocate", SMALL + "DISK=[TYPE=fs,SIZE=1]\n" * 27)
    assert "There is no free device name with the prefix sd" in error.message


def test_a_device_name_that_is_asked_for_is_not_given_to_another_disk() -> None:
    template = Template(
        [("DISK", Vector(DISK_ID="0", DEV_PREFIX="sd")), ("DISK", Vector(DISK_ID="1", TARGET="sda"))]
    )
    vm_disks.assign_targets(template, "hd")
    assert [disk["TARGET"] for disk in template.vectors("DISK")] == ["sdb", "sda"]


def test_the_boot_order_is_numbered_over_disks_and_nics() -> None:
    cloud = Cloud()
    oid = cloud.vm(
        f'{SMALL}DISK=[IMAGE_ID=0]\nDISK=[TYPE=fs,SIZE=1]\nNIC=[NETWORK_ID=0]\nOS=[BOOT="nic0, disk1"]'
    )
    template = cloud.get(VM, oid).template
    assert [disk.get("ORDER") for disk in disks(cloud, oid)] == [None, "2"]
    assert [nic.get("ORDER") for nic in template.vectors("NIC")] == ["1"]
    for wrong in ("cd0", "disk", "disk9", "nic3", "disk-1", "hd"):
        error = cloud.fails(ANN, "one.vm.allocate", f'{SMALL}DISK=[IMAGE_ID=0]\nOS=[BOOT="{wrong}"]')
        assert "OS: BOOT" in error.message


def test_a_disk_of_a_file_image_is_refused() -> None:
    cloud = Cloud()
    kernel = cloud.call(0, "one.image.allocate", "NAME=k\nTYPE=KERNEL\nPATH=/var/tmp/k", 2, size=5)
    cloud.answer(op="image", source="/img/k", format="raw")
    error = cloud.fails(0, "one.vm.allocate", f"{SMALL}DISK=[IMAGE_ID={kernel}]")
    assert "KERNEL" in error.message
    assert cloud.get(Image, kernel).state == ImageState.READY


def test_a_persistent_image_is_not_taken_twice_by_one_vm() -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.allocate", SMALL + f"DISK=[IMAGE_ID={PERSISTENT}]\n" * 2)
    assert error.code is Code.INTERNAL
    check(cloud)


@pytest.mark.parametrize("oid", [2, 99, 2**31 - 1])
def test_an_image_that_does_not_exist_is_named(oid: int) -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.allocate", f"{SMALL}DISK=[IMAGE_ID={oid}]")
    assert (error.code, error.message) == (Code.NO_EXISTS, f"Error getting image [{oid}].")
