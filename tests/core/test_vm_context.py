"""CONTEXT, its variables, and the files that a VM is given."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, Cloud

from merope.core import vm_context
from merope.core.transaction import SYSTEM
from merope.model.errors import ApiError, Code
from merope.model.template import Template, Vector
from merope.model.vm import VM

BASE = """CPU=1
MEMORY=64
NAME=web
NIC=[NETWORK_ID=0]
DISK=[IMAGE_ID=0]
PRICE=3
"""


def context(cloud: Cloud, oid: int) -> Vector:
    found = cloud.get(VM, oid).template.vector("CONTEXT")
    assert found is not None
    return found


def quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("$NAME", "web"),
        ("$name-x", "web-x"),
        ("$UID $UNAME $GID $GNAME", "2 ann 1 users"),
        ("$VMID", "0"),
        ("$PRICE", "3"),
        ("$CPU/$MEMORY", "1/64"),
        ("$UNKNOWN.", "."),
        ("$NIC[IP]", "10.1.0.10"),
        ('$NIC[IP, NETWORK="private"]', "10.1.0.10"),
        ('$NIC[IP, NETWORK="other"]', ""),
        ("$NIC[ MAC , NIC_ID = 0 ]", "02:00:0a:01:00:0a"),
        ('$DISK[SOURCE, DISK_ID="0"]', "/img/0"),
        ('$NETWORK[GATEWAY, NETWORK="private"]', "10.1.0.1"),
        ('$NETWORK[GATEWAY, NIC_ID="0"]', "10.1.0.1"),
        ('$NETWORK[GATEWAY, NETWORK_ID="0"]', "10.1.0.1"),
        ('$NETWORK[GATEWAY, NETWORK="unused"]', ""),
        ("$NETWORK[GATEWAY]", ""),
        ('$IMAGE[DESCRIPTION, IMAGE_ID="0"]', "a disk"),
        ('$IMAGE[DESCRIPTION, IMAGE="disk"]', "a disk"),
        ('$IMAGE[DESCRIPTION, IMAGE_ID="1"]', ""),
        ("$USER[SSH_PUBLIC_KEY]", "ssh-ed25519 AAAA"),
        ("$USER[NOTHING]", ""),
        ("\\$NAME", "\\$NAME"),
        ("$$", "$$"),
        ("a $ b", "a $ b"),
        ("100%", "100%"),
        ("$NAME$UNAME", "webann"),
        ("$NAME$-x", "web-x"),
        ("$NAME$$UNAME$", "webann"),
        ("$NIC[IP]$NIC[NIC_ID]", "10.1.0.100"),
        ("$NIC[IP", "[IP"),
    ],
)
def test_variables_are_filled_in(text: str, value: str) -> None:
    cloud = Cloud()
    cloud.call(0, "one.user.update", ANN, 'SSH_PUBLIC_KEY="ssh-ed25519 AAAA"', 1)
    cloud.call(ANN, "one.image.update", 0, 'DESCRIPTION="a disk"', 1)
    oid = cloud.vm(f"{BASE}CONTEXT=[V={quoted(text)}]")
    assert context(cloud, oid)["V"] == value


def test_whole_templates_are_filled_in_as_base64() -> None:
    cloud = Cloud()
    oid = cloud.vm(f'{BASE}CONTEXT=[U="$USER[TEMPLATE]",V="$TEMPLATE",N="$NETWORK[TEMPLATE, NIC_ID=0]"]')
    found = context(cloud, oid)
    documents = {key: base64.b64decode(found[key]).decode() for key in "UVN"}
    assert all(document.startswith("<TEMPLATE") for document in documents.values())
    assert "<GATEWAY>" in documents["N"]
    assert "<NETWORK_ID>" in documents["V"]


def test_what_a_variable_brings_in_is_not_looked_at_again() -> None:
    cloud = Cloud()
    cloud.call(0, "one.user.update", ANN, 'EVIL="$UID"', 1)
    oid = cloud.vm(f'{BASE}CONTEXT=[V="$USER[EVIL]"]')
    assert context(cloud, oid)["V"] == "$UID"


def test_secrets_of_others_are_not_within_reach() -> None:
    cloud = Cloud()
    oid = cloud.vm(f'{BASE}CONTEXT=[V="$IMAGE[DESCRIPTION, IMAGE_ID=1]$NETWORK[VN_MAD, NETWORK_ID=1]"]')
    assert context(cloud, oid)["V"] == ""


TOO_MUCH = "Variables bring in more than|There are more than 10000 variables"


@pytest.mark.parametrize(
    "text",
    ["$TEMPLATE" * 100_000, "$USER[TEMPLATE]" * 200_000, "$NAME" * 400_000],
    ids=["vm", "user", "name"],
)
def test_a_short_text_cannot_ask_for_an_endless_one(text: str) -> None:
    cloud = Cloud()
    for name in ("CONTEXT=[V=", "PUBLIC_CLOUD=[TYPE=ec2,V="):
        error = cloud.fails(ANN, "one.vm.allocate", f'{BASE}{name}"{text}"]')
        assert error.code is Code.INTERNAL
        assert re.search(TOO_MUCH, error.message)
    error = cloud.fails(ANN, "one.vm.allocate", f'{BASE}SCHED_REQUIREMENTS="{text}"')
    assert re.search(TOO_MUCH, error.message)


@given(st.text(alphabet='$\\[]{}",= ANICMEPTUR0_\n', max_size=60))
def test_no_text_breaks_the_filling_in(text: str) -> None:
    cloud = Cloud()
    oid = cloud.vm(BASE)
    tx = cloud.transaction(SYSTEM)
    filled = vm_context.substitute(tx, cloud.get(VM, oid), text, vm_context.Room())
    if "$" not in text:
        assert filled == text


def test_other_attributes_are_not_filled_in_but_requirements_are() -> None:
    cloud = Cloud()
    oid = cloud.vm(f'{BASE}NOTE="$NAME"\nSCHED_REQUIREMENTS="NAME=\\"$NAME\\""\nEC2=[AMI="$NAME"]')
    user = cloud.get(VM, oid).user_template
    assert user.get("NOTE") == "$NAME"
    assert user.get("SCHED_REQUIREMENTS") == 'NAME="web"'
    assert user.vectors("EC2") == [Vector(AMI="web")]


def test_the_guest_is_told_of_its_interfaces() -> None:
    cloud = Cloud()
    oid = cloud.vm(f"{BASE}NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0]\nCONTEXT=[NETWORK=YES,ETH0_IP=9.9.9.9]")
    found = context(cloud, oid)
    assert (found["ETH0_IP"], found["ETH0_MAC"]) == ("10.1.0.10", "02:00:0a:01:00:0a")
    assert (found["ETH0_MASK"], found["ETH0_NETWORK"]) == ("255.255.255.0", "10.1.0.0")
    assert (found["ETH0_GATEWAY"], found["ETH0_DNS"]) == ("10.1.0.1", "10.1.0.1")
    assert found["ETH0_ALIAS0_IP"] == "10.1.0.11"
    assert sum(key.startswith("ETH0_ALIAS0_") for key in found) == 20


def test_what_a_nic_says_of_itself_comes_before_its_network() -> None:
    cloud = Cloud()
    oid = cloud.vm(
        "CPU=1\nMEMORY=1\nNIC=[NETWORK_ID=0,GATEWAY=1.1.1.1,GUEST_MTU=1400]\nCONTEXT=[NETWORK=YES]"
    )
    found = context(cloud, oid)
    assert (found["ETH0_GATEWAY"], found["ETH0_MTU"]) == ("1.1.1.1", "1400")


def test_a_token_needs_an_address_to_be_used_at() -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.allocate", f"{BASE}CONTEXT=[TOKEN=YES]")
    assert "ONEGATE_ENDPOINT is not set" in error.message
    gate = Cloud(onegate_endpoint="http://10.0.0.1:5030")
    oid = gate.vm(f"{BASE}CONTEXT=[TOKEN=YES]")
    assert context(gate, oid)["ONEGATE_ENDPOINT"] == "http://10.0.0.1:5030"
    assert context(gate, oid)["VMID"] == str(oid)
    assert gate.get(VM, oid).template.get("CREATED_BY") == str(ANN)


def test_a_vm_without_context_gets_none() -> None:
    cloud = Cloud()
    assert "CONTEXT" not in cloud.get(VM, cloud.vm(BASE)).template


# Files


def a_file(cloud: Cloud, name: str, kind: str, *, made: bool = True) -> int:
    oid = cloud.call(ANN, "one.image.allocate", f"NAME={name}\nTYPE={kind}\nPATH=/var/tmp/x", 2, size=1)
    if made:
        cloud.answer(op="image", source=f"/img/{name}", format="raw")
    assert isinstance(oid, int)
    return oid


def test_kernel_and_initial_disk_come_from_a_file_datastore() -> None:
    cloud = Cloud()
    kernel, initrd = a_file(cloud, "vmlinuz", "KERNEL"), a_file(cloud, "initrd", "RAMDISK")
    oid = cloud.vm(
        "CPU=1\nMEMORY=1\n"
        f'OS=[KERNEL_DS="$FILE[IMAGE_ID={kernel}]",INITRD_DS="$FILE[IMAGE=\\"initrd\\"]",KERNEL_CMD="quiet"]'
    )
    system = cloud.get(VM, oid).template.vector("OS")
    assert system is not None
    wanted = {
        "KERNEL_DS_ID": str(kernel),
        "KERNEL_DS_SOURCE": "/img/vmlinuz",
        "KERNEL_DS_DSID": "2",
        "KERNEL_DS_TM": "ssh",
        "KERNEL_DS_CLUSTER_ID": "0",
        "INITRD_DS_ID": str(initrd),
        "INITRD_DS_SOURCE": "/img/initrd",
        "KERNEL_CMD": "quiet",
    }
    assert {key: system.get(key) for key in wanted} == wanted


def test_no_file_but_a_registered_one_becomes_a_kernel() -> None:
    cloud = Cloud()
    evil = 'KERNEL_DS_SOURCE="/etc/shadow",KERNEL_DS_TM=ssh,KERNEL_DS_DSID=2,KERNEL_DS_ID=0'
    oid = cloud.vm(f"CPU=1\nMEMORY=1\nOS=[{evil},ARCH=x86_64]")
    assert cloud.get(VM, oid).template.vector("OS") == Vector(ARCH="x86_64")
    error = cloud.fails(ANN, "one.vm.allocate", f"CPU=1\nMEMORY=1\nOS=[{evil},KERNEL_DS=x]")
    assert "OS: KERNEL_DS must be one $FILE[IMAGE=…]" in error.message


def test_files_of_a_context_are_listed_with_their_names() -> None:
    cloud = Cloud()
    first, _ = a_file(cloud, "one.sh", "CONTEXT"), a_file(cloud, "two", "CONTEXT")
    oid = cloud.vm(f'CPU=1\nMEMORY=1\nCONTEXT=[FILES_DS="$FILE[IMAGE_ID={first}] $FILE[IMAGE=two]"]')
    assert context(cloud, oid)["FILES_DS"] == "/img/one.sh:'one.sh' /img/two:'two'"
    evil = cloud.vm("CPU=1\nMEMORY=1\nCONTEXT=[FILES_DS=\"/etc/shadow:'x'\"]")
    assert context(cloud, evil)["FILES_DS"] == ""


def test_files_take_the_right_to_use_them_the_right_type_and_to_be_ready() -> None:
    cloud = Cloud()
    kernel = a_file(cloud, "vmlinuz", "KERNEL")
    bob = cloud.user("bob")
    text = f'CPU=1\nMEMORY=1\nOS=[KERNEL_DS="$FILE[IMAGE_ID={kernel}]"]'
    assert sentence(cloud.fails(bob, "one.vm.allocate", text)) == (
        Code.AUTHORIZATION,
        f"User [{bob}] : Not authorized to perform USE IMAGE [{kernel}].",
    )
    error = cloud.fails(ANN, "one.vm.allocate", text.replace("KERNEL_DS", "INITRD_DS"))
    assert "is of type KERNEL, not RAMDISK" in error.message
    late = a_file(cloud, "late", "KERNEL", made=False)
    error = cloud.fails(ANN, "one.vm.allocate", f'CPU=1\nMEMORY=1\nOS=[KERNEL_DS="$FILE[IMAGE_ID={late}]"]')
    assert "it must be READY" in error.message
    two = f'OS=[KERNEL_DS="$FILE[IMAGE_ID={kernel}]$FILE[IMAGE_ID={kernel}]"]'
    assert cloud.fails(ANN, "one.vm.allocate", f"CPU=1\nMEMORY=1\n{two}").code is Code.INTERNAL


def test_room_is_what_is_left_of_it() -> None:
    room = vm_context.Room()
    room.take("x" * (room.left - 1))
    room.take("y")
    with pytest.raises(ApiError):
        room.take("z")


def test_a_template_with_two_contexts_keeps_the_first() -> None:
    cloud = Cloud()
    oid = cloud.vm("CPU=1\nMEMORY=1\nCONTEXT=[A=1]\nCONTEXT=[B=2]")
    template: Template = cloud.get(VM, oid).template
    assert len(template.vectors("CONTEXT")) == 1
    assert context(cloud, oid)["A"] == "1"
