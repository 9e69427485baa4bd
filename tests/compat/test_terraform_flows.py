"""What the resources of terraform-provider-opennebula do: create, wait, read back, change, delete, wait.

The provider can't be had here. Its steps are told in the words of these tests, over calls as goca sends them
(go_client.py); each wait accepts only the states that the provider takes for passing ones.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.compat import goca
from tests.compat.api import Api
from tests.compat.conftest import Sandbox
from tests.compat.go_client import NO_EXISTS, GoClient, pair, refused, text_of, vector, vector_of
from tests.compat.goca import Template, Vector

Fields = dict[str, Any]
Words = dict[str, str | int]
PENDING, HOLD, DONE, POWEROFF, UNDEPLOYED = (1, 0), (2, 0), (6, 0), (8, 0), (9, 0)
PROLOG, BOOT, RUNNING, EPILOG, SHUTDOWN = (3, 1), (3, 2), (3, 3), (3, 11), (3, 12)
HOTPLUG, SHUTDOWN_POWEROFF, HOTPLUG_NIC, SHUTDOWN_UNDEPLOY = (3, 17), (3, 18), (3, 25), (3, 29)
EPILOG_UNDEPLOY, DISK_RESIZE, DISK_RESIZE_POWEROFF, HOTPLUG_PROLOG_POWEROFF = (
    (3, 30),
    (3, 62),
    (3, 63),
    (3, 26),
)
HOTPLUG_EPILOG_POWEROFF, BOOT_POWEROFF, HOTPLUG_NIC_POWEROFF = (3, 27), (3, 20), (3, 65)
CREATION = {PENDING, PROLOG, BOOT}
DELETION = {SHUTDOWN, EPILOG}
DISKS = {HOTPLUG, HOTPLUG_PROLOG_POWEROFF, HOTPLUG_EPILOG_POWEROFF, DISK_RESIZE, DISK_RESIZE_POWEROFF}
NICS = {HOTPLUG_NIC, HOTPLUG_NIC_POWEROFF}
IMAGE_READY, IMAGE_LOCKED = 1, 4
OWNER_ONLY = (1, 1, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def one(sandbox: Sandbox) -> Iterator[GoClient]:
    with Api(sandbox.endpoint) as api:
        host = api("one.host.allocate", "node", "dummy", "dummy", -1)
        api.until(lambda: api.info("host", host), lambda doc: doc.findtext("STATE") == "2", "the host")
    with GoClient(sandbox.endpoint, sandbox.auth) as client:
        yield client


@pytest.fixture(scope="module")
def network(one: GoClient) -> int:
    text = [pair("NAME", "shared"), pair("VN_MAD", "dummy"), pair("BRIDGE", "br0")]
    oid = one.id("one.vn.allocate", "\n".join(text), -1)
    one("one.vn.add_ar", oid, vector("AR", SIZE="50", TYPE="IP4", IP="10.9.0.10"))
    return oid


@pytest.fixture(scope="module")
def image(one: GoClient) -> int:
    return made_image(one, "base")


def made_image(one: GoClient, name: str, *more: str) -> int:
    text = "\n".join([pair("NAME", name), pair("TYPE", "DATABLOCK"), pair("SIZE", 32), *more])
    oid = one.id("one.image.allocate", text, 1)
    ready(one, oid)
    return oid


def ready(one: GoClient, oid: int) -> Fields:
    return one.until(
        "image",
        oid,
        lambda image: image["STATE"] == IMAGE_READY,
        lambda image: image["STATE"] == IMAGE_LOCKED,
    )


def phase(vm: Fields) -> tuple[int, int]:
    return vm["STATE"], vm["LCM_STATE"]


def reach(one: GoClient, oid: int, wanted: tuple[int, int], passing: set[tuple[int, int]]) -> Fields:
    return one.until("vm", oid, lambda vm: phase(vm) == wanted, lambda vm: phase(vm) in passing)


def vm_text(name: str, *more: str) -> str:
    """As the provider writes a VM: CPU with six places, and a CONTEXT."""
    context = vector("CONTEXT", NETWORK="YES", SET_HOSTNAME="$NAME")
    return "\n".join([pair("NAME", name), context, pair("CPU", 0.5), pair("MEMORY", 64), *more])


def octet(fields: Fields) -> int:
    bits = fields["PERMISSIONS"]
    digits = [4 * bits[f"{who}_U"] + 2 * bits[f"{who}_M"] + bits[f"{who}_A"] for who in SCOPES]
    return int("".join(map(str, digits)))


SCOPES = ("OWNER", "GROUP", "OTHER")


def destroy(one: GoClient, oid: int) -> None:
    one("one.vm.action", "terminate-hard", oid)
    reach(one, oid, DONE, {RUNNING, POWEROFF, UNDEPLOYED, HOLD, *DELETION})


# Virtual machines


@pytest.fixture
def machine(one: GoClient, network: int, image: int, request: pytest.FixtureRequest) -> Iterator[int]:
    """A running VM with a disk and a NIC, which the test leaves in a state that can be terminated."""
    parts = (
        vector("DISK", IMAGE_ID=image),
        vector("NIC", NETWORK_ID=network),
        vector("GRAPHICS", TYPE="VNC"),
    )
    oid = one.id("one.vm.allocate", vm_text(f"vm-{request.node.name}"[:100], *parts), False)
    reach(one, oid, RUNNING, CREATION)
    yield oid
    destroy(one, oid)


def test_a_vm_of_its_own_is_created_and_read_back(one: GoClient, network: int) -> None:
    image = made_image(one, "layered", pair("DRIVER", "qcow2"))
    parts = (
        pair("VCPU", 2),
        pair("DESCRIPTION", "made by a plan"),
        vector("OS", ARCH="x86_64", BOOT="disk0"),
        vector("GRAPHICS", LISTEN="0.0.0.0", TYPE="VNC", KEYMAP="en-us"),
        vector("DISK", IMAGE_ID=image, SIZE=48, TARGET="vdb", DRIVER="qcow2"),
        vector("NIC", NETWORK_ID=network, MODEL="virtio", IP="10.9.0.40", SECURITY_GROUPS="0"),
    )
    oid = one.id("one.vm.allocate", vm_text("owned", *parts), False)
    vm = reach(one, oid, RUNNING, CREATION)
    one("one.vm.chmod", oid, *OWNER_ONLY)
    one("one.vm.chown", oid, -1, 1)
    one("one.vm.lock", oid, 1)
    vm = one.info("vm", oid)
    assert (vm["NAME"], octet(vm), vm["GNAME"], vm["LOCK"]["LOCKED"]) == ("owned", 600, "users", 1)
    tpl = vm["TEMPLATE"]
    assert (float(tpl.get("CPU")), tpl.get("MEMORY"), tpl.get("VCPU")) == (0.5, "64", "2")
    assert vm["USER_TEMPLATE"].get("DESCRIPTION") == "made by a plan"
    disk, nic = tpl.vector("DISK"), tpl.vector("NIC")
    assert [disk.get(name) for name in ("SIZE", "TARGET", "DRIVER")] == ["48", "vdb", "qcow2"]
    assert [nic.get(name) for name in ("IP", "MODEL", "SECURITY_GROUPS")] == ["10.9.0.40", "virtio", "0"]
    assert tpl.vector("OS").get("ARCH") == "x86_64"
    assert tpl.vector("CONTEXT").get("SET_HOSTNAME") == "owned"
    one("one.vm.unlock", oid)
    destroy(one, oid)


def test_a_vm_of_a_template_has_what_was_added_to_it(one: GoClient, network: int) -> None:
    parts = (vector("NIC", NETWORK_ID=network), vector("CONTEXT", NETWORK="YES", PASSWORD="x"))
    text = "\n".join([pair("NAME", "plain"), pair("CPU", 0.1), pair("MEMORY", 32), *parts])
    template = one.id("one.template.allocate", text)
    # The provider sends the template's context back, changed, and the rest beside it.
    context = one.info("template", template, True, False)["TEMPLATE"].vector("CONTEXT")
    context.pairs.append(("GREETING", "hello"))
    extra = "\n".join([pair("NAME", "one-of-it"), vector_of(context), pair("MEMORY", 48)])
    oid = one.id("one.template.instantiate", template, "one-of-it", False, extra, False)
    vm = reach(one, oid, RUNNING, CREATION)
    assert vm["TEMPLATE"].get("MEMORY") == "48"
    assert vm["TEMPLATE"].vector("CONTEXT").get("GREETING") == "hello"
    assert vm["TEMPLATE"].get("TEMPLATE_ID") == str(template)
    destroy(one, oid)
    one("one.template.delete", template, False)


def test_a_vm_that_is_asked_for_on_hold_stays_there(one: GoClient) -> None:
    oid = one.id("one.vm.allocate", vm_text("held"), True)
    reach(one, oid, HOLD, {PENDING})
    destroy(one, oid)


def added(before: list[Vector], after: list[Vector]) -> Vector:
    """The vector that was attached: the one whose text was not there before."""
    known = [vector_of(each) for each in before]
    (fresh,) = [each for each in after if vector_of(each) not in known]
    return fresh


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "powered off"])
def test_a_disk_is_attached_resized_and_detached(
    one: GoClient, machine: int, image: int, stopped: bool
) -> None:
    rest = power_off(one, machine) if stopped else RUNNING
    before = one.info("vm", machine)["TEMPLATE"].all("DISK")
    one("one.vm.attach", machine, vector("DISK", IMAGE_ID=image, TARGET="vdd"))
    disk = added(before, reach(one, machine, rest, DISKS)["TEMPLATE"].all("DISK"))
    assert (disk.number("IMAGE_ID"), disk.get("TARGET")) == (image, "vdd")
    one("one.vm.diskresize", machine, disk.number("DISK_ID"), "64")
    disks = reach(one, machine, rest, DISKS)["TEMPLATE"].all("DISK")
    assert [each.number("SIZE") for each in disks if each.get("TARGET") == "vdd"] == [64]
    one("one.vm.detach", machine, disk.number("DISK_ID"))
    assert reach(one, machine, rest, DISKS)["TEMPLATE"].all("DISK") == before


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "powered off"])
def test_a_nic_is_attached_with_every_word_of_it_and_detached(
    one: GoClient, machine: int, network: int, stopped: bool
) -> None:
    rest = power_off(one, machine) if stopped else RUNNING
    before = one.info("vm", machine)["TEMPLATE"].all("NIC")
    asked: Words = {
        "NETWORK_ID": network,
        "MODEL": "virtio",
        "VIRTIO_QUEUES": "2",
        "SECURITY_GROUPS": "0",
    }
    one("one.vm.attachnic", machine, vector("NIC", **asked))
    nic = added(before, reach(one, machine, rest, NICS)["TEMPLATE"].all("NIC"))
    assert {name: nic.get(name) for name in asked} == {name: str(value) for name, value in asked.items()}
    one("one.vm.detachnic", machine, nic.number("NIC_ID"))
    assert reach(one, machine, rest, NICS)["TEMPLATE"].all("NIC") == before


def power_off(one: GoClient, oid: int) -> tuple[int, int]:
    one("one.vm.action", "poweroff-hard", oid)
    reach(one, oid, POWEROFF, {RUNNING, SHUTDOWN_POWEROFF})
    return POWEROFF


@pytest.mark.parametrize("rest", ["poweroff", "undeploy"])
def test_a_vm_is_resized_at_rest_and_resumed(one: GoClient, machine: int, rest: str) -> None:
    one("one.vm.action", rest, machine)
    state = POWEROFF if rest == "poweroff" else UNDEPLOYED
    passing = {RUNNING, SHUTDOWN_POWEROFF, SHUTDOWN_UNDEPLOY, EPILOG_UNDEPLOY}
    reach(one, machine, state, passing)
    capacity = "\n".join([pair("CPU", 0.25), pair("VCPU", 3), pair("MEMORY", 128)])
    one("one.vm.resize", machine, capacity, True)
    reach(one, machine, state, set())
    one("one.vm.action", "resume", machine)
    vm = one.until("vm", machine, lambda vm: phase(vm) == RUNNING, lambda vm: True)
    tpl = vm["TEMPLATE"]
    assert (float(tpl.get("CPU")), tpl.get("VCPU"), tpl.get("MEMORY")) == (0.25, "3", "128")


def test_the_context_is_changed_by_sending_back_the_sections_that_were_read(
    one: GoClient, machine: int
) -> None:
    tpl = one.info("vm", machine)["TEMPLATE"]
    sections = [each for name in ("OS", "FEATURES", "INPUT", "GRAPHICS", "RAW") for each in tpl.all(name)]
    context = tpl.vector("CONTEXT")
    context.pairs.append(("COLOUR", "a \\ b"))
    one("one.vm.updateconf", machine, "\n".join(map(vector_of, [*sections, context])))
    vm = one.until("vm", machine, lambda vm: phase(vm) == RUNNING, lambda vm: True)
    read = vm["TEMPLATE"]
    assert read.vector("CONTEXT").get("ETH0_IP") == read.vector("NIC").get("IP")
    assert read.vector("GRAPHICS").number("PORT") == tpl.vector("GRAPHICS").number("PORT")
    assert "COLOUR" in dict(read.vector("CONTEXT").pairs)


def test_tags_are_changed_by_sending_back_the_user_template(one: GoClient, machine: int) -> None:
    tags = one.info("vm", machine)["USER_TEMPLATE"]
    tags.pairs.append(("ENVIRONMENT", "production"))
    one("one.vm.update", machine, text_of(tags), 0)
    assert one.info("vm", machine)["USER_TEMPLATE"] == Template(sorted(tags.pairs), tags.vectors)
    one("one.vm.rename", machine, "renamed")
    assert one.info("vm", machine)["NAME"] == "renamed"


def test_an_alias_is_made_with_its_nic_attached_and_detached(one: GoClient, network: int) -> None:
    parts = (
        vector("NIC", NAME="outside", NETWORK_ID=network),
        vector("NIC_ALIAS", NETWORK_ID=network, PARENT="outside"),
    )
    oid = one.id("one.vm.allocate", vm_text("aliased", *parts), False)
    before = reach(one, oid, RUNNING, CREATION)["TEMPLATE"]
    (alias,) = before.all("NIC_ALIAS")
    assert (alias.get("PARENT"), alias.number("PARENT_ID")) == (
        "outside",
        before.vector("NIC").number("NIC_ID"),
    )
    one("one.vm.attachnic", oid, vector("NIC_ALIAS", NETWORK_ID=network, PARENT="outside"))
    after = reach(one, oid, RUNNING, NICS)["TEMPLATE"]
    fresh = added(before.all("NIC_ALIAS"), after.all("NIC_ALIAS"))
    assert fresh.number("NETWORK_ID") == network
    ids = {alias.get("NIC_ID"), fresh.get("NIC_ID")}
    assert set(after.vector("NIC").get("ALIAS_IDS").split(",")) == ids
    one("one.vm.detachnic", oid, fresh.number("NIC_ID"))
    assert reach(one, oid, RUNNING, NICS)["TEMPLATE"].all("NIC_ALIAS") == [alias]
    destroy(one, oid)


def test_a_vm_of_a_vm_group_is_read_with_its_role(one: GoClient) -> None:
    group = one.id("one.vmgroup.allocate", "\n".join([pair("NAME", "roles"), vector("ROLE", NAME="front")]))
    oid = one.id(
        "one.vm.allocate", vm_text("member", vector("VMGROUP", VMGROUP_ID=group, ROLE="front")), False
    )
    vm = reach(one, oid, RUNNING, CREATION)
    assert vm["TEMPLATE"].vector("VMGROUP").number("VMGROUP_ID") == group
    assert vm["TEMPLATE"].vector("VMGROUP").get("ROLE") == "front"
    assert one.info("vmgroup", group)["ROLES>ROLE"][0]["VMS"] == str(oid)
    destroy(one, oid)
    one("one.vmgroup.delete", group)


def test_scheduled_actions_of_a_plan_are_read_back(one: GoClient) -> None:
    parts = (
        vector(
            "SCHED_ACTION",
            ACTION="suspend",
            TIME="2000000000",
            REPEAT="1",
            DAYS="1",
            END_TYPE="1",
            END_VALUE="4",
        ),
        vector("SCHED_ACTION", ACTION="snapshot-create", TIME="2000000500", ARGS="nightly"),
    )
    oid = one.id("one.vm.allocate", vm_text("scheduled", *parts), False)
    actions = reach(one, oid, RUNNING, CREATION)["USER_TEMPLATE"].all("SCHED_ACTION")
    assert [(each.number("ID"), each.get("ACTION"), each.get("TIME")) for each in actions] == [
        (0, "suspend", "2000000000"),
        (1, "snapshot-create", "2000000500"),
    ]
    destroy(one, oid)


def test_an_ordinary_users_plan_makes_and_changes_a_vm(one: GoClient, network: int) -> None:
    user = one.id("one.user.allocate", "planner", "secret", "core", [1])
    one("one.vn.chmod", network, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    with GoClient(one.endpoint, "planner:secret") as plan:
        image = made_image(plan, "of-the-planner")
        parts = (
            vector("DISK", IMAGE_ID=image),
            vector("NIC", NETWORK_ID=network),
            vector("GRAPHICS", TYPE="VNC"),
        )
        oid = plan.id("one.vm.allocate", vm_text("planned", *parts), False)
        tpl = reach(plan, oid, RUNNING, CREATION)["TEMPLATE"]
        sections = [each for name in ("OS", "GRAPHICS", "CONTEXT") for each in tpl.all(name)]
        plan("one.vm.updateconf", oid, "\n".join(map(vector_of, sections)))
        plan.until("vm", oid, lambda vm: phase(vm) == RUNNING, lambda vm: True)
        plan("one.vm.attach", oid, vector("DISK", SIZE=8, TYPE="fs", FORMAT="raw"))
        disk = added(tpl.all("DISK"), reach(plan, oid, RUNNING, DISKS)["TEMPLATE"].all("DISK"))
        plan("one.vm.detach", oid, disk.number("DISK_ID"))
        reach(plan, oid, RUNNING, DISKS)
        plan("one.vm.attachnic", oid, vector("NIC", NETWORK_ID=network, MODEL="virtio"))
        nic = added(tpl.all("NIC"), reach(plan, oid, RUNNING, NICS)["TEMPLATE"].all("NIC"))
        plan("one.vm.detachnic", oid, nic.number("NIC_ID"))
        vm = reach(plan, oid, RUNNING, NICS)
        plan("one.vm.update", oid, text_of(vm["USER_TEMPLATE"]), 0)
        assert (vm["UNAME"], vm["GNAME"]) == ("planner", "users")
        destroy(plan, oid)
        plan("one.image.delete", image)
        gone(plan, "image", image)
        # The provider reads pools as a whole: only what the user may see is there.
        assert [each["ID"] for each in plan.pool("user")] == [user]
    one("one.user.delete", user)


# Images


def test_an_image_is_created_updated_locked_and_deleted(one: GoClient) -> None:
    oid = made_image(one, "disk", pair("DEV_PREFIX", "vd"))
    one("one.image.update", oid, "\n".join([pair("DESCRIPTION", "of a plan"), pair("OWNED", "yes")]), 1)
    one("one.image.chmod", oid, *OWNER_ONLY)
    one("one.image.chown", oid, -1, 1)
    one("one.image.persistent", oid, True)
    one("one.image.lock", oid, 1)
    image = one.info("image", oid)
    assert (octet(image), image["GNAME"], image["PERSISTENT"], image["LOCK"]["LOCKED"]) == (
        600,
        "users",
        1,
        1,
    )
    tpl = image["TEMPLATE"]
    assert [tpl.get(name) for name in ("DESCRIPTION", "OWNED", "DEV_PREFIX")] == ["of a plan", "yes", "vd"]
    one("one.image.unlock", oid)
    one("one.image.chtype", oid, "OS")
    one("one.image.persistent", oid, False)
    one("one.image.rename", oid, "disk-2")
    image = one.info("image", oid)
    assert (image["NAME"], image["TYPE"], image["PERSISTENT"]) == ("disk-2", "0", 0)
    one("one.image.delete", oid)
    gone(one, "image", oid)


def test_an_image_is_cloned_by_the_name_of_another(one: GoClient) -> None:
    source = made_image(one, "source")
    found = one.by_name("image", "source")
    assert found == source
    oid = one.id("one.image.clone", source, "copy", 1)
    assert ready(one, oid)["SIZE"] == 32
    for each in (oid, source):
        one("one.image.delete", each)
        gone(one, "image", each)


def gone(one: GoClient, kind: str, oid: int) -> None:
    for _ in range(4000):
        if one.is_gone(kind, oid):
            return
    raise AssertionError(f"{kind} {oid} is still there")


# Virtual networks


def test_a_network_is_created_with_ranges_holds_and_groups(one: GoClient) -> None:
    cluster = one.id("one.cluster.allocate", "second")
    text = "\n".join([pair("NAME", "net"), pair("VN_MAD", "dummy"), pair("BRIDGE", "onebr")])
    oid = one.id("one.vn.allocate", text, 0)
    settings: Words = {
        "MTU": 1500,
        "GUEST_MTU": 1500,
        "DNS": "10.2.0.1",
        "GATEWAY": "10.2.0.1",
    }
    one("one.vn.update", oid, "\n".join(pair(name, value) for name, value in settings.items()), 1)
    ranges: tuple[dict[str, str], ...] = (
        {"SIZE": "16", "TYPE": "IP4", "IP": "10.2.0.10"},
        {"SIZE": "4", "TYPE": "IP6", "GLOBAL_PREFIX": "2001:db8::", "ULA_PREFIX": "fd00::"},
        {"SIZE": "4", "TYPE": "IP4_6", "IP": "10.3.0.10", "GLOBAL_PREFIX": "2001:db8:1::"},
        {"SIZE": "4", "TYPE": "IP6_STATIC", "IP6": "2001:db8:2::10", "PREFIX_LENGTH": "64"},
        {"SIZE": "4", "TYPE": "ETHER", "MAC": "02:00:0a:02:00:99"},
    )
    for each in ranges:
        one("one.vn.add_ar", oid, vector("AR", **each))
    one("one.cluster.addvnet", cluster, oid)
    one("one.vn.hold", oid, "LEASES = [ IP = 10.2.0.12]")
    one("one.vn.update", oid, 'SECURITY_GROUPS="0"', 1)
    one("one.vn.chmod", oid, 1, 1, 1, 1, 0, 0, 1, 0, 0)
    one("one.vn.chown", oid, 0, 1)
    vn = one.info("vn", oid)
    for asked, read in zip(ranges, vn["AR_POOL>AR"], strict=True):
        wanted = {name: value for name, value in asked.items() if name in read}
        assert {name: str(read[name]) for name in wanted} == wanted
    assert {name: vn["TEMPLATE"].get(name) for name in settings} == {
        name: str(value) for name, value in settings.items()
    }
    assert vn["CLUSTERS"]["ID"] == [0, cluster]
    assert (octet(vn), vn["VN_MAD"], vn["BRIDGE"], vn["USED_LEASES"]) == (744, "dummy", "onebr", 1)
    one("one.vn.release", oid, "LEASES = [ IP = 10.2.0.12]")
    one("one.cluster.delvnet", cluster, oid)
    one("one.vn.delete", oid)
    gone(one, "vn", oid)
    one("one.cluster.delete", cluster)


def test_a_reservation_is_made_tagged_read_and_given_back(one: GoClient, network: int) -> None:
    asked = "\n".join([pair("NAME", "reserved"), pair("IP", "10.9.0.30"), pair("AR_ID", 0), pair("SIZE", 3)])
    oid = one.id("one.vn.reserve", network, asked)
    tpl = one.info("vn", oid)["TEMPLATE"]
    tpl.pairs.append(("STAGE", "test"))
    one("one.vn.update", oid, text_of(tpl), 0)
    vn = one.info("vn", oid)
    assert (vn["PARENT_NETWORK_ID"], vn["TEMPLATE"].get("STAGE")) == (str(network), "test")
    (held,) = vn["AR_POOL>AR"]
    assert (held["PARENT_NETWORK_AR_ID"], held["SIZE"], held["IP"]) == ("0", 3, "10.9.0.30")
    one("one.vn.delete", oid)
    gone(one, "vn", oid)


def test_a_range_is_a_resource_of_its_own(one: GoClient, network: int) -> None:
    before = [each["AR_ID"] for each in one.info("vn", network)["AR_POOL>AR"]]
    one("one.vn.add_ar", network, vector("AR", SIZE="2", TYPE="IP4", IP="10.9.1.1"))
    (made,) = [each for each in one.info("vn", network)["AR_POOL>AR"] if each["AR_ID"] not in before]
    one("one.vn.update_ar", network, vector("AR", AR_ID=made["AR_ID"], SIZE="3"))
    (read,) = [each for each in one.info("vn", network)["AR_POOL>AR"] if each["AR_ID"] == made["AR_ID"]]
    assert (read["SIZE"], read["IP"], read["IP_END"]) == (3, "10.9.1.1", "10.9.1.3")
    one("one.vn.hold", network, 'LEASES=[IP="10.9.1.2"]')
    one("one.vn.release", network, 'LEASES=[IP="10.9.1.2"]')
    one("one.vn.rm_ar", network, int(made["AR_ID"]))
    assert [each["AR_ID"] for each in one.info("vn", network)["AR_POOL>AR"]] == before


# Templates, security groups, VM groups


def test_a_template_is_created_read_back_and_replaced(one: GoClient) -> None:
    parts = (
        vector("CONTEXT", NETWORK="YES", SSH_PUBLIC_KEY="$USER[SSH_PUBLIC_KEY]"),
        vector("FEATURES", ACPI="YES", GUEST_AGENT="YES"),
        vector("DISK", SIZE=8, TYPE="fs", FORMAT="raw"),
        vector("NIC", NETWORK_ID=0, SECURITY_GROUPS="0"),
        vector("RAW", TYPE="kvm", DATA="<cpu match='exact'/>"),
        vector("USER_INPUTS", BLOG="O|text|Title of the blog||default"),
        pair("CPU", 0.5),
        pair("MEMORY", 256),
    )
    oid = one.id("one.template.allocate", "\n".join([pair("NAME", "tpl"), *parts]))
    one("one.template.chmod", oid, *OWNER_ONLY)
    one("one.template.chown", oid, -1, 1)
    one("one.template.lock", oid, 2)
    read = one.info("template", oid, False, False)
    assert (octet(read), read["GNAME"], read["LOCK"]["LOCKED"]) == (600, "users", 2)
    assert read["TEMPLATE"].vector("RAW").get("DATA") == "<cpu match='exact'/>"
    assert read["TEMPLATE"].vector("USER_INPUTS").get("BLOG") == "O|text|Title of the blog||default"
    one("one.template.unlock", oid)
    tpl = read["TEMPLATE"]
    tpl.pairs.append(("TAG", "x"))
    one("one.template.update", oid, text_of(tpl), 0)
    assert one.info("template", oid, False, False)["TEMPLATE"].get("TAG") == "x"
    one("one.template.rename", oid, "tpl-2")
    assert one.by_name("template", "tpl-2") == oid
    one("one.template.delete", oid, False)
    gone(one, "template", oid)


def test_a_security_group_is_created_changed_and_committed(one: GoClient) -> None:
    rules = (
        vector("RULE", PROTOCOL="TCP", RULE_TYPE="INBOUND", RANGE="80,443"),
        vector("RULE", PROTOCOL="ICMP", RULE_TYPE="OUTBOUND", ICMP_TYPE="8"),
        vector("RULE", PROTOCOL="ALL", RULE_TYPE="OUTBOUND", IP="10.0.0.1", SIZE="5"),
    )
    oid = one.id("one.secgroup.allocate", "\n".join([pair("NAME", "web"), *rules]))
    one("one.secgroup.update", oid, pair("DESCRIPTION", "of a plan"), 1)
    one("one.secgroup.chmod", oid, *OWNER_ONLY)
    one("one.secgroup.chown", oid, -1, 0)
    read = one.info("secgroup", oid)["TEMPLATE"]
    assert [each.get("RULE_TYPE") for each in read.all("RULE")] == ["INBOUND", "OUTBOUND", "OUTBOUND"]
    assert read.all("RULE")[0].get("RANGE") == "80,443"
    assert read.get("DESCRIPTION") == "of a plan"
    replaced = Template(read.pairs, [("RULE", read.all("RULE")[0].pairs)])
    one("one.secgroup.update", oid, text_of(replaced), 0)
    one("one.secgroup.commit", oid, True)
    assert len(one.info("secgroup", oid)["TEMPLATE"].all("RULE")) == 1
    one("one.secgroup.rename", oid, "web-2")
    one("one.secgroup.delete", oid)
    gone(one, "secgroup", oid)


def test_a_vm_group_is_created_and_read_back(one: GoClient) -> None:
    roles = [
        vector("ROLE", NAME="front", POLICY="ANTI_AFFINED"),
        vector("ROLE", NAME="back", HOST_AFFINED="0"),
    ]
    oid = one.id("one.vmgroup.allocate", "\n".join([pair("NAME", "tiers"), *roles]))
    one("one.vmgroup.chmod", oid, *OWNER_ONLY)
    one("one.vmgroup.update", oid, pair("TIER", "x"), 1)
    group = one.info("vmgroup", oid)
    assert [(role["NAME"], role["POLICY"]) for role in group["ROLES>ROLE"]] == [
        ("front", "ANTI_AFFINED"),
        ("back", None),
    ]
    one("one.vmgroup.delete", oid)
    gone(one, "vmgroup", oid)


# Hosts, clusters, datastores, marketplaces


def test_a_cluster_is_filled_read_and_emptied(one: GoClient) -> None:
    oid = one.id("one.cluster.allocate", "rack")
    one("one.cluster.update", oid, pair("RACK", "7"), 1)
    host = one.id("one.host.allocate", "node-of-rack", "dummy", "dummy", oid)
    one("one.host.update", host, vector("LABELS", ROOM="b"), 1)
    one("one.cluster.adddatastore", oid, 1)
    cluster = one.info("cluster", oid)
    assert (cluster["HOSTS"]["ID"], cluster["DATASTORES"]["ID"]) == ([host], [1])
    assert cluster["TEMPLATE"].get("RACK") == "7"
    read = one.info("host", host)
    assert (read["CLUSTER_ID"], read["CLUSTER"], read["VM_MAD"]) == (oid, "rack", "dummy")
    one("one.host.rename", host, "node-b")
    one("one.cluster.addhost", 0, host)
    one("one.cluster.deldatastore", oid, 1)
    one("one.cluster.delete", oid)
    gone(one, "cluster", oid)
    one("one.host.delete", host)
    gone(one, "host", host)


@pytest.mark.parametrize(("kind", "number"), [("IMAGE_DS", "0"), ("SYSTEM_DS", "1"), ("FILE_DS", "2")])
def test_a_datastore_is_created_read_and_deleted(one: GoClient, kind: str, number: str) -> None:
    text = [pair("NAME", f"ds-{kind}"), pair("TYPE", kind), pair("TM_MAD", "dummy")]
    if kind != "SYSTEM_DS":
        text.append(pair("DS_MAD", "dummy"))
    oid = one.id("one.datastore.allocate", "\n".join(text), -1)
    one("one.datastore.update", oid, pair("RESTRICTED_DIRS", "/"), 1)
    one("one.datastore.chmod", oid, *OWNER_ONLY)
    datastore = one.info("datastore", oid)
    assert (datastore["TYPE"], datastore["TM_MAD"], octet(datastore)) == (number, "dummy", 600)
    one("one.datastore.rename", oid, f"other-{kind}")
    one("one.datastore.delete", oid)
    gone(one, "datastore", oid)


def test_a_marketplace_is_created_read_and_deleted(one: GoClient) -> None:
    words = {"NAME": "shelf", "MARKET_MAD": "http", "BASE_URL": "http://127.0.0.1/", "PUBLIC_DIR": "/tmp"}
    oid = one.id("one.market.allocate", "\n".join(pair(key, value) for key, value in words.items()))
    one("one.market.update", oid, pair("DESCRIPTION", "of a plan"), 1)
    market = one.info("market", oid)
    assert (market["MARKET_MAD"], market["TEMPLATE"].get("BASE_URL")) == ("http", "http://127.0.0.1/")
    one("one.market.delete", oid)
    gone(one, "market", oid)


# Users, groups, rules, virtual data centers


def test_a_user_is_created_with_quotas_and_changed(one: GoClient) -> None:
    first, second = one.id("one.group.allocate", "first"), one.id("one.group.allocate", "second-group")
    oid = one.id("one.user.allocate", "iris", "s3cret", "core", [first, 1])
    vm = vector("VM", CPU=2.5, MEMORY=1024, RUNNING_CPU=-1.0, VMS=3, SYSTEM_DISK_SIZE=-1)
    for quota in (vm, vector("DATASTORE", ID=1, IMAGES=2, SIZE=-1), vector("IMAGE", ID=0, RVMS=2)):
        one("one.user.quota", oid, quota)
    one("one.user.update", oid, pair("MAIL", "iris@example.org"), 1)
    user = one.info("user", oid)
    assert (user["GID"], user["GROUPS"]["ID"]) == (first, [1, first])
    quota = user["VM_QUOTA>VM"]
    assert (quota["CPU"], quota["MEMORY"], quota["RUNNING_CPU"], quota["VMS"]) == (2.5, 1024, -1.0, 3)
    assert user["DATASTORE_QUOTA>DATASTORE"][0]["IMAGES"] == 2
    one("one.user.passwd", oid, "other")
    one("one.user.chauth", oid, "public", "")
    one("one.user.chgrp", oid, second)
    one("one.user.addgroup", oid, 0)
    one("one.user.delgroup", oid, 1)
    user = one.info("user", oid)
    assert (user["AUTH_DRIVER"], user["GID"]) == ("public", second)
    assert one.by_name("user", "iris") == oid
    one("one.user.delete", oid)
    gone(one, "user", oid)
    for group in (first, second):
        one("one.group.delete", group)
        gone(one, "group", group)


def test_a_group_is_created_with_members_admins_and_quotas(one: GoClient) -> None:
    user = one.id("one.user.allocate", "jo", "secret", "core", [])
    oid = one.id("one.group.allocate", "ops")
    one("one.group.update", oid, vector("SUNSTONE", DEFAULT_VIEW="cloud", VIEWS="cloud,user"), 0)
    one("one.user.addgroup", user, oid)
    one("one.group.addadmin", oid, user)
    one("one.group.quota", oid, vector("NETWORK", ID=0, LEASES=4))
    group = one.info("group", oid)
    assert (group["USERS"]["ID"], group["ADMINS"]["ID"]) == ([user], [user])
    assert group["TEMPLATE"].vector("SUNSTONE").get("VIEWS") == "cloud,user"
    assert group["NETWORK_QUOTA>NETWORK"][0]["LEASES"] == 4
    one("one.group.quota", oid, vector("NETWORK", ID=0, LEASES=-1))
    one("one.group.deladmin", oid, user)
    one("one.user.delgroup", user, oid)
    one("one.group.delete", oid)
    one("one.user.delete", user)
    gone(one, "group", oid)


def test_rules_are_written_in_the_hexadecimal_of_goca(one: GoClient) -> None:
    # Users in capitals, the rest in small letters; the zone only where the plan has one.
    everybody, group_0 = f"{0x400000000:X}", f"{0x200000000:X}"
    rules = (
        ((everybody, f"{0x4000000000 | 0x8000000000 | 0x400000000:x}", "1"), "* NET+IMAGE/* USE #0"),
        ((group_0, f"{0x1000000000 | 0x200000001:x}", "6", f"{0x100000000:x}"), "@0 VM/@1 MANAGE+ADMIN #0"),
        ((everybody, f"{0x2000000000 | 0x800000000:x}", "1", f"{0x400000000:x}"), "* HOST/%0 USE *"),
    )
    for words, text in rules:
        oid = one.id("one.acl.addrule", *words)
        assert one_rule(one, oid) == text
        one("one.acl.delrule", oid)
        assert one_rule(one, oid) is None


def one_rule(one: GoClient, oid: int) -> str | None:
    rules = goca.read(one("one.acl.info"), "acl_pool")["ACL"]
    return next((rule["STRING"] for rule in rules if rule["ID"] == oid), None)


def test_a_virtual_data_center_is_created_and_emptied(one: GoClient) -> None:
    oid = one.id("one.vdc.allocate", pair("NAME", "tenant"), -1)
    group = one.id("one.group.allocate", "tenants")
    one("one.vdc.addgroup", oid, group)
    for kind, resource in (("host", 0), ("datastore", 1), ("vnet", 0), ("cluster", 0)):
        one(f"one.vdc.add{kind}", oid, 0, resource)
    vdc = one.info("vdc", oid)
    assert vdc["GROUPS"]["ID"] == [group]
    assert vdc["HOSTS>HOST"] == [{"ZONE_ID": 0, "HOST_ID": 0}]
    for kind, resource in (("host", 0), ("datastore", 1), ("vnet", 0), ("cluster", 0)):
        one(f"one.vdc.del{kind}", oid, 0, resource)
    one("one.vdc.delgroup", oid, group)
    one("one.vdc.delete", oid)
    gone(one, "vdc", oid)
    one("one.group.delete", group)


# Virtual routers


@pytest.fixture
def router(one: GoClient, request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A virtual router that remembers its template, and that template."""
    text = vm_text(f"t-{request.node.name}"[:100], pair("VROUTER", "YES"))
    template = one.id("one.template.allocate", text)
    name = pair("NAME", f"r-{request.node.name}"[:100])
    oid = one.id("one.vrouter.allocate", "\n".join([name, pair("TEMPLATE_ID", template)]))
    yield oid, template
    machines = one.info("vrouter", oid)["VMS"]["ID"]
    one("one.vrouter.delete", oid)
    gone(one, "vrouter", oid)
    for machine in machines:
        one.until("vm", machine, lambda vm: phase(vm) == DONE, lambda vm: True)
    one("one.template.delete", template, False)


def instance(one: GoClient, router: int, template: int, mark: str) -> int:
    """The provider knows a new instance by a mark that it gave it."""
    before = one.info("vrouter", router)["VMS"]["ID"]
    extra = vm_text(mark, pair("TMP_TF_RESOURCE_ID", mark))
    assert one.id("one.vrouter.instantiate", router, 1, template, mark, False, extra) == router
    fresh = [each for each in one.info("vrouter", router)["VMS"]["ID"] if each not in before]
    oid: int
    (oid,) = [
        each for each in fresh if one.info("vm", each)["USER_TEMPLATE"].get("TMP_TF_RESOURCE_ID") == mark
    ]
    tags: Template = one.info("vm", oid)["USER_TEMPLATE"]
    kept = Template([each for each in tags.pairs if each[0] != "TMP_TF_RESOURCE_ID"], tags.vectors)
    one("one.vm.update", oid, text_of(kept), 0)
    assert "TMP_TF_RESOURCE_ID" not in dict(reach(one, oid, RUNNING, CREATION)["USER_TEMPLATE"].pairs)
    return oid


def test_a_router_has_instances_and_nics_that_come_and_go(
    one: GoClient, router: tuple[int, int], network: int
) -> None:
    oid, template = router
    assert one.info("vrouter", oid)["TEMPLATE"].get("TEMPLATE_ID") == str(template)
    first = instance(one, oid, template, "mark-a")
    asked: Words = {"NETWORK_ID": network, "MODEL": "virtio", "SECURITY_GROUPS": "0"}
    before = one.info("vrouter", oid)["TEMPLATE"].all("NIC")
    one("one.vrouter.attachnic", oid, vector("NIC", **asked))
    nic = added(before, one.info("vrouter", oid)["TEMPLATE"].all("NIC"))
    assert {name: nic.get(name) for name in asked} == {name: str(value) for name, value in asked.items()}
    assert nic.get("NETWORK") == "shared"
    vm = reach(one, first, RUNNING, NICS)
    assert [each.number("NETWORK_ID") for each in vm["TEMPLATE"].all("NIC")] == [network]
    second = instance(one, oid, template, "mark-b")
    assert len(one.info("vm", second)["TEMPLATE"].all("NIC")) == 1
    one("one.vrouter.detachnic", oid, nic.number("NIC_ID"))
    assert one.info("vrouter", oid)["TEMPLATE"].all("NIC") == before
    for each in (first, second):
        assert reach(one, each, RUNNING, NICS)["TEMPLATE"].all("NIC") == []
    destroy(one, first)
    assert one.info("vrouter", oid)["VMS"]["ID"] == [second]


def test_a_router_is_tagged_renamed_and_given_away(one: GoClient, router: tuple[int, int]) -> None:
    oid, template = router
    one("one.vrouter.chmod", oid, *OWNER_ONLY)
    one("one.vrouter.chown", oid, -1, 1)
    tpl = one.info("vrouter", oid)["TEMPLATE"]
    tpl.pairs.append(("PLAN", "a"))
    one("one.vrouter.update", oid, text_of(tpl), 0)
    one("one.vrouter.rename", oid, "edge-2")
    one("one.vrouter.lock", oid, 1)
    read = one.info("vrouter", oid)
    assert (read["NAME"], octet(read), read["GNAME"]) == ("edge-2", 600, "users")
    assert (read["TEMPLATE"].get("PLAN"), read["TEMPLATE"].get("TEMPLATE_ID")) == ("a", str(template))
    one("one.vrouter.unlock", oid)


# Data sources and what the provider takes for gone


def test_a_data_source_finds_its_object_by_name_and_by_tag(one: GoClient) -> None:
    oid = one.id("one.template.allocate", vm_text("tagged", pair("ROLE", "db")))
    found = [each["ID"] for each in one.pool("template") if dict(each["TEMPLATE"].pairs).get("ROLE") == "db"]
    assert found == [oid]
    for kind, name in (
        ("cluster", "default"),
        ("datastore", "default"),
        ("group", "users"),
        ("host", "node"),
    ):
        assert one.by_name(kind, name) is not None
    assert one.by_name("vn", "nobody-has-this") is None


@pytest.mark.parametrize("kind", ["vm", "template", "image", "vn", "secgroup", "user", "group", "vrouter"])
def test_what_was_removed_beside_the_provider_is_told_by_the_code(one: GoClient, kind: str) -> None:
    with refused(NO_EXISTS):
        one.info(kind, 424242)


def test_the_version_is_one_that_the_provider_compares(one: GoClient) -> None:
    numbers = str(one("one.system.version")).split(".")
    assert [int(each) for each in numbers[:2]] == [5, 12]
