"""Making VMs: what a template may say, what is taken for it, and what a refusal leaves behind."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import ANN, TEMPLATE, Cloud, check

from merope.core.transaction import SYSTEM
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.phase import Phase
from merope.model.quota import Usage
from merope.model.security_group import SecurityGroup
from merope.model.template import Template
from merope.model.user import User
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

RECORDED_NETWORK = """NAME=private
BRIDGE=br0
VN_MAD=dummy
DNS=10.1.0.1
GATEWAY=10.1.0.1
NETWORK_ADDRESS=10.1.0.0
NETWORK_MASK=255.255.255.0
AR=[TYPE=IP4,IP=10.1.0.10,SIZE=20]
"""


def recorded_world() -> Core:
    """The cloud in which vm-held.xml was recorded, as far as it has objects that are there yet."""
    core = Core(onegate_endpoint="http://127.0.0.1:5030")
    core.call(0, "one.vn.allocate", RECORDED_NETWORK, -1)
    core.call(0, "one.vn.reserve", 0, "NAME=reserved\nSIZE=3")
    rules = 'RULE=[PROTOCOL=TCP,RANGE="80,443",RULE_TYPE=inbound]\nRULE=[PROTOCOL=ALL,RULE_TYPE=outbound]'
    assert core.call(0, "one.secgroup.allocate", f"NAME=web\n{rules}") == 100
    core.call(0, "one.image.allocate", "NAME=disk\nTYPE=DATABLOCK\nSIZE=64", 1)
    core.answer(op="image", source="dummy_path", format="raw")
    core.call(0, "one.vmgroup.allocate", "NAME=tier\nROLE=[NAME=front]\nROLE=[NAME=db]")
    return core


def recorded_template() -> str:
    element = example("template.xml").find("TEMPLATE")
    assert element is not None
    template = Template.from_element(element)
    template.set("NAME", "web server")
    return template.to_xml()


def without(element: Element, *paths: str) -> Element:
    """The document without elements whose value depends on the moment."""
    for path in paths:
        for found in element.findall(path):
            found.text = "…"
    return element


def test_a_vm_made_of_a_template_is_the_recorded_one() -> None:
    core = recorded_world()
    assert core.call(0, "one.template.allocate", recorded_template()) == 0
    oid = core.call(0, "one.template.instantiate", 0, "web-1", True)
    ours = ElementTree.fromstring(core.call(0, "one.vm.info", oid))
    recorded = example("vm-held.xml")
    moments = ("STIME", "USER_TEMPLATE/SCHED_ACTION")
    assert flat(without(ours, *moments)) == flat(without(recorded, *moments))


def test_the_network_shows_the_leases_of_the_recorded_one() -> None:
    core = recorded_world()
    core.call(0, "one.template.allocate", recorded_template())
    core.call(0, "one.template.instantiate", 0, "web-1", True)
    ours = ElementTree.fromstring(core.call(0, "one.vn.info", 0))
    recorded = example("vnet.xml")
    leases = [[flat(lease) for lease in document.iter("LEASE")] for document in (ours, recorded)]
    # The recorded VM had one more NIC attached later, and a router holds the last lease.
    assert leases[0] == leases[1][:6]


def test_the_security_group_is_the_recorded_one_without_its_description() -> None:
    core = recorded_world()
    core.call(0, "one.template.allocate", recorded_template())
    core.call(0, "one.template.instantiate", 0, "web-1", True)
    ours = ElementTree.fromstring(core.call(0, "one.secgroup.info", 100))
    recorded = example("secgroup.xml")
    assert flat(ours) == flat(recorded)


def test_an_allocated_vm_has_valid_documents() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    check_schema(cloud.call(ANN, "one.vm.info", oid), "vm")
    check_schema(cloud.call(ANN, "one.vmpool.info", -2, -1, -1, -1), "vm_pool")
    extended = cloud.call(ANN, "one.vmpool.infoextended", -2, -1, -1, -1)
    check_schema(extended.removeprefix("<VM_POOL>").removesuffix("</VM_POOL>"), "vm")


def test_a_vm_is_pending_or_on_hold_as_was_asked() -> None:
    cloud = Cloud()
    assert cloud.phase(cloud.vm()) is Phase.PENDING
    assert cloud.phase(cloud.vm(hold=True)) is Phase.HOLD
    assert cloud.phase(cloud.vm("CPU=1\nMEMORY=1\nSUBMIT_ON_HOLD=YES")) is Phase.HOLD
    held = Cloud(vm_submit_on_hold=True)
    assert held.phase(held.vm("CPU=1\nMEMORY=1")) is Phase.HOLD


def test_names_default_to_the_id() -> None:
    cloud = Cloud()
    assert cloud.get(VM, cloud.vm("CPU=1\nMEMORY=1")).name == "one-0"
    assert cloud.get(VM, cloud.vm("CPU=1\nMEMORY=1\nNAME=web")).name == "web"


def test_what_the_template_language_gives_is_sorted_into_the_two_templates() -> None:
    cloud = Cloud()
    oid = cloud.vm('CPU=1\nMEMORY=1\nVCPU=2\nFOO=bar\nLABELS=x\nSCHED_RANK=FREE_CPU\nREQUIREMENTS="A=1"')
    vm = cloud.get(VM, oid)
    assert [vm.template.get(name) for name in ("CPU", "MEMORY", "VCPU", "VMID")] == ["1", "1", "2", "0"]
    assert dict(vm.user_template.items()) == {
        "FOO": "bar",
        "LABELS": "x",
        "SCHED_RANK": "FREE_CPU",
        "SCHED_REQUIREMENTS": "A=1",
    }


def test_what_only_the_cloud_writes_is_not_taken_from_a_template() -> None:
    cloud = Cloud()
    text = (
        "CPU=1\nMEMORY=1\nVMID=77\nTEMPLATE_NAME=x\nAUTOMATIC_REQUIREMENTS=no\nCREATED_BY=0\nTM_MAD_SYSTEM=a"
    )
    template = cloud.get(VM, cloud.vm(text)).template
    assert template.get("VMID") == "0"
    assert template.get("AUTOMATIC_REQUIREMENTS") == "!(PUBLIC_CLOUD = YES) & !(PIN_POLICY = PINNED)"
    for name in ("TEMPLATE_NAME", "CREATED_BY", "TM_MAD_SYSTEM"):
        assert name not in template


def test_a_display_gets_a_password_of_its_own_where_it_asks_for_one() -> None:
    cloud = Cloud()
    found = []
    for kind, length in (("VNC", 8), ("SPICE", 32), ("VNC", 8)):
        oid = cloud.vm(f"CPU=1\nMEMORY=1\nGRAPHICS=[TYPE={kind},RANDOM_PASSWD=YES]")
        graphics = cloud.get(VM, oid).template.vector("GRAPHICS")
        assert graphics is not None
        assert len(graphics["PASSWD"]) == length
        found.append(graphics["PASSWD"])
    assert len(set(found)) == 3
    oid = cloud.vm("CPU=1\nMEMORY=1\nGRAPHICS=[TYPE=VNC,RANDOM_PASSWD=YES,PASSWD=mine]")
    graphics = cloud.get(VM, oid).template.vector("GRAPHICS")
    assert graphics is not None
    assert graphics["PASSWD"] == "mine"


# Refusals. That they change nothing is checked by `fails` for every one.

WRONG = [
    ("MEMORY=1", "CPU attribute must be a positive float or integer value."),
    ("CPU=0\nMEMORY=1", "CPU attribute must be a positive float or integer value."),
    ("CPU=nan\nMEMORY=1", "CPU attribute must be a positive float or integer value."),
    ("CPU=1_0\nMEMORY=1", "CPU attribute must be a positive float or integer value."),
    (f"CPU={'9' * 5000}\nMEMORY=1", "CPU attribute must be a positive float or integer value."),
    ("CPU=1", "MEMORY attribute must be a positive integer value."),
    ("CPU=1\nMEMORY=-5", "MEMORY attribute must be a positive integer value."),
    ("CPU=1\nMEMORY=1.5", "MEMORY attribute must be a positive integer value."),
    ("CPU=1\nMEMORY=4294967296", "MEMORY attribute must be a positive integer value."),
    (f"CPU=1\nMEMORY={'9' * 5000}", "MEMORY attribute must be a positive integer value."),
    ('CPU=1\nMEMORY="١٢"', "MEMORY attribute must be a positive integer value."),
    ("CPU=1\nMEMORY=1\nVCPU=0", "VCPU attribute must be a positive integer value."),
    ("CPU=1\nMEMORY=1\nVCPU=a", "VCPU attribute must be a positive integer value."),
    ("CPU=1\nMEMORY=1\nOS=[ARCH=a]\nOS=[ARCH=b]", "Only one OS attribute can be defined."),
    ('CPU=1\nMEMORY=1\nNAME="a<b"', "Invalid NAME, char '<' is not allowed"),
    (f"CPU=1\nMEMORY=1\nNAME={'x' * 129}", "Invalid NAME, max length is 128 chars"),
    ("CPU=1\nMEMORY=1\nNIC=[NETWORK=no]", "User 2 does not own a network with name: no . Set NETWORK_UNAME"),
    ("CPU=1\nMEMORY=1\nNIC=[MODEL=virtio]", "A NIC needs NETWORK_ID or NETWORK."),
    ("CPU=1\nMEMORY=1\nDISK=[IMAGE=no]", "User 2 does not own an image with name: no . Set IMAGE_UNAME"),
    ("CPU=1\nMEMORY=1\nDISK=[TYPE=tape,SIZE=1]", "DISK 0: Unknown disk type tape"),
    ("CPU=1\nMEMORY=1\nDISK=[TYPE=fs]", "DISK 0: SIZE attribute must be a positive integer value."),
    ("CPU=1\nMEMORY=1\nOS=[BOOT=disk7]", "OS: BOOT names disk7, which the VM does not have."),
]


@pytest.mark.parametrize(("text", "detail"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_a_template_that_makes_no_vm_is_refused_with_a_sentence(text: str, detail: str) -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.allocate", text)
    assert error.code is Code.INTERNAL
    assert error.message.startswith(detail)
    assert len(error.message) < 500


def test_costs_are_for_administrators_and_numbers() -> None:
    cloud = Cloud()
    for name in ("CPU_COST", "MEMORY_COST", "DISK_COST"):
        error = cloud.fails(0, "one.vm.allocate", f"CPU=1\nMEMORY=1\n{name}=x")
        assert error.message.endswith(f"{name} attribute must be a positive float or integer value.")
        assert cloud.fails(ANN, "one.vm.allocate", f"CPU=1\nMEMORY=1\n{name}=1").code is Code.AUTHORIZATION
        assert cloud.vm(f"CPU=1\nMEMORY=1\n{name}=0.5", who=0) >= 0


def test_a_template_that_does_not_parse_names_line_and_columns() -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.allocate", "CPU=1\nMEMORY=[")
    assert error.code is Code.INTERNAL
    assert "at line 2, columns" in error.message
    assert cloud.fails(ANN, "one.vm.allocate", "<a>").message == "Parse error: XML Template malformed."


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ('RAW=[TYPE=kvm,DATA="<x/>"]', "RAW"),
        ("EMULATOR=/bin/sh", "EMULATOR"),
        ('NIC=[NETWORK_ID=0,MAC="02:00:0a:01:00:0c"]', "NIC/MAC"),
        ("DISK=[IMAGE_ID=0,TOTAL_IOPS_SEC=1]", "DISK/TOTAL_IOPS_SEC"),
        ('CONTEXT=[FILES="/etc/shadow"]', "CONTEXT/FILES"),
        ("PCI=[VENDOR=8086]", "PCI"),
    ],
)
def test_attributes_for_administrators_are_refused_to_users(text: str, attribute: str) -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.allocate", f"CPU=1\nMEMORY=1\n{text}")
    assert sentence(error) == (
        Code.AUTHORIZATION,
        f"User [{ANN}] : VM Template includes a restricted attribute {attribute}.",
    )


def test_what_a_vm_uses_takes_the_right_to_use_it() -> None:
    cloud = Cloud()
    secret = cloud.image("secret", who=0)
    private = cloud.call(0, "one.vn.reserve", 0, "NAME=mine\nSIZE=2")
    group = cloud.call(0, "one.secgroup.allocate", "NAME=mine")
    nic = f'NIC=[NETWORK_ID={private},SECURITY_GROUPS="{group}"]'
    error = cloud.fails(ANN, "one.vm.allocate", f"CPU=1\nMEMORY=1\nDISK=[IMAGE_ID={secret}]\n{nic}")
    assert sentence(error) == (
        Code.AUTHORIZATION,
        "User [2] : Not authorized to perform USE IMAGE [2]; Not authorized to perform USE NET [1]; "
        "Not authorized to perform USE SECGROUP [100].",
    )


def test_a_quota_that_is_reached_refuses_the_vm_and_takes_nothing() -> None:
    cloud = Cloud()
    for quota, metric in (
        ("VM=[VMS=0]", "VMS quota in VM"),
        ("VM=[CPU=0.4]", "CPU quota in VM"),
        ("VM=[MEMORY=255]", "MEMORY quota in VM"),
        ("VM=[RUNNING_VMS=0]", "RUNNING_VMS quota in VM"),
        ("VM=[SYSTEM_DISK_SIZE=79]", "SYSTEM_DISK_SIZE quota in VM"),
        ("NETWORK=[ID=0,LEASES=0]", "LEASES quota in NETWORK with ID: 0"),
        ("IMAGE=[ID=0,RVMS=0]", "RVMS quota in IMAGE with ID: 0"),
    ):
        fresh = Cloud()
        fresh.call(0, "one.user.quota", ANN, quota)
        error = fresh.fails(ANN, "one.vm.allocate", TEMPLATE)
        assert error.code is Code.AUTHORIZATION
        assert metric in error.message
    oid = cloud.vm()
    used = cloud.used() - Usage().datastore(1, images=2, size=128)
    expected = Usage().vm(
        vms=1,
        running_vms=1,
        cpu=0.5,
        running_cpu=0.5,
        memory=256,
        running_memory=256,
        system_disk_size=80,
    )
    assert used == expected.network(0).image(0)
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    check(cloud)


def test_a_volatile_disk_counts_whatever_its_author_says_of_it() -> None:
    cloud = Cloud()
    text = (
        "CPU=1\nMEMORY=1\n"
        'DISK=[TYPE=fs,SIZE=100,IMAGE_ID="",DISK_SNAPSHOT_TOTAL_SIZE=-100,LN_TARGET=NONE,CLONE=YES]'
    )
    cloud.vm(text)
    used = cloud.used() - Usage().datastore(1, images=2, size=128)
    assert used == Usage().vm(
        vms=1, running_vms=1, cpu=1, running_cpu=1, memory=1, running_memory=1, system_disk_size=100
    )


def test_ids_are_given_in_order_and_never_twice() -> None:
    cloud = Cloud()
    first = cloud.vm()
    cloud.call(ANN, "one.vm.action", "terminate", first)
    cloud.fails(ANN, "one.vm.allocate", "CPU=1")
    assert cloud.vm() == first + 1


def test_requirements_follow_from_the_clusters_of_what_a_vm_uses() -> None:
    cloud = Cloud()
    cloud.call(0, "one.cluster.allocate", "far")
    network = cloud.call(
        0, "one.vn.allocate", "NAME=far\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=ETHER,SIZE=2]", 100
    )
    cloud.call(0, "one.vn.chmod", network, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    error = cloud.fails(
        ANN, "one.vm.allocate", f"CPU=1\nMEMORY=1\nNIC=[NETWORK_ID=0]\nNIC=[NETWORK_ID={network}]"
    )
    assert error.code is Code.INTERNAL
    assert "Incompatible clusters in NIC. Network for NIC 1 is not in the same cluster" in error.message
    cloud.call(0, "one.cluster.addvnet", 0, network)
    oid = cloud.vm(f"CPU=1\nMEMORY=1\nNIC=[NETWORK_ID={network}]")
    template = cloud.get(VM, oid).template
    assert template.get("AUTOMATIC_REQUIREMENTS") == (
        "(CLUSTER_ID = 0 | CLUSTER_ID = 100) & !(PUBLIC_CLOUD = YES) & !(PIN_POLICY = PINNED)"
    )
    assert template.get("AUTOMATIC_DS_REQUIREMENTS") == '("CLUSTERS/ID" @> 0 | "CLUSTERS/ID" @> 100)'


# Hostile input: the answer is an error of the API, in bounded time, and nothing has changed.

HUGE = "9" * 5000

HOSTILE = [
    "NIC=[NETWORK_ID=0,NIC_ID=abc]",
    f"NIC=[NETWORK_ID={HUGE}]",
    "NIC=[NETWORK_ID=-1]",
    "NIC=[NETWORK_ID=2147483648]",
    f"NIC=[NETWORK=private,NETWORK_UID={HUGE}]",
    'NIC=[NETWORK_ID="٠"]',
    f"NIC=[NETWORK_ID=0,SECURITY_GROUPS={HUGE}]",
    'NIC=[NETWORK_ID=0,SECURITY_GROUPS="0,x,y"]',
    "NIC=[NETWORK_MODE=auto,NETWORK_ID=abc]",
    "NIC=[NETWORK_MODE=auto,NETWORK_ID=0,AR_ID=x]",
    "NIC=[NETWORK_ID=0,IP=999.1.1.1]",
    'NIC=[NETWORK_ID=0,IP=10.1.0.10,IP6="::1"]',
    'NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0,NIC_ID="-"]',
    'NIC=[NETWORK_ID=0,ALIAS_IDS="x,,"]\nNIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0]',
    f"DISK=[IMAGE_ID={HUGE}]",
    'DISK=[IMAGE_ID="٠"]',
    f"DISK=[IMAGE=disk,IMAGE_UID={HUGE}]",
    f"DISK=[TYPE=fs,SIZE={HUGE}]",
    "DISK=[TYPE=fs,SIZE=99999999999999999999]",
    f"DISK=[IMAGE_ID=0,SIZE={HUGE}]",
    "DISK=[IMAGE_ID=0,DISK_SNAPSHOT_TOTAL_SIZE=x]",
    "DISK=[TYPE=fs,SIZE=1,DISK_SNAPSHOT_TOTAL_SIZE=x,ORDER=1]",
    'DISK=[TYPE=fs,SIZE=1,DATASTORE_ID=x,CLUSTER_ID="a,b"]',
    f"OS=[BOOT=disk{HUGE}]",
    "OS=[KERNEL_DS_CLUSTER_ID=x,KERNEL_DS=y]",
    f'CONTEXT=[FILES_DS="$FILE[IMAGE_ID={HUGE}]"]',
    'CONTEXT=[FILES_DS="$FILE[IMAGE_ID=٣]"]',
    'CONTEXT=[A="$NETWORK[IP, NIC_ID=\\"x\\"]"]',
    "GRAPHICS=[TYPE=VNC,PORT=abc]",
    f"GRAPHICS=[TYPE=VNC,PORT={HUGE}]",
    "GRAPHICS=[TYPE=VNC,PORT=70000]",
    "NAME=[A=b]",
    "TOPOLOGY=[PIN_POLICY=x]",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
@pytest.mark.parametrize("who", [0, ANN])
def test_hostile_attributes_are_refused_or_harmless(text: str, who: int) -> None:
    """Whatever is accepted can be deployed, resized, shown and deleted again."""
    cloud = Cloud()
    cloud.call(0, "one.user.quota", ANN, "VM=[SYSTEM_DISK_SIZE=1000000]")
    before = cloud.picture()
    try:
        oid = cloud.call(who, "one.vm.allocate", f"CPU=1\nMEMORY=1\n{text}")
    except ApiError:
        assert cloud.picture() == before
        error = cloud.fails(who, "one.vm.allocate", f"CPU=1\nMEMORY=1\n{text}")
        assert len(error.message) < 1000
        return
    check(cloud)
    check_schema(cloud.call(who, "one.vm.info", oid), "vm")
    cloud.call(0, "one.vm.deploy", oid, 0)
    check(cloud)
    cloud.call(0, "one.vm.recover", oid, 3)
    check(cloud)
    assert cloud.get(VirtualNetwork, 0).used_leases == 0


@given(st.lists(st.sampled_from([*HOSTILE, *TEMPLATE.splitlines()]), max_size=6))
def test_no_mixture_of_attributes_breaks_the_core(lines: list[str]) -> None:
    cloud = Cloud()
    before = cloud.picture()
    try:
        cloud.call(ANN, "one.vm.allocate", "\n".join(["CPU=1", "MEMORY=1", *lines]))
    except ApiError:
        assert cloud.picture() == before
    check(cloud)


def test_ten_thousand_disks_and_nics_are_refused_in_time() -> None:
    cloud = Cloud()
    for line in ("NIC=[NETWORK_ID=0]", "DISK=[IMAGE_ID=0]", "DISK=[TYPE=swap,SIZE=1]"):
        error = cloud.fails(ANN, "one.vm.allocate", "CPU=1\nMEMORY=1\n" + f"{line}\n" * 10_000)
        assert error.code is Code.INTERNAL


def test_a_user_that_is_gone_leaves_its_vms() -> None:
    cloud = Cloud()
    oid = cloud.running()
    tx = cloud.transaction(SYSTEM)
    tx.delete(tx.edit(User, ANN))
    cloud.commit(tx)
    cloud.call(0, "one.vm.action", "terminate", oid)
    cloud.steps(2)
    assert cloud.phase(oid) is Phase.DONE
    assert cloud.get(Host, 0).vms == set()
    assert cloud.get(SecurityGroup, 0).updated_vms == set()
