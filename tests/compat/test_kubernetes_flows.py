"""What the Kubernetes pieces, docker-machine's driver and a Packer builder do with the API.

Their steps are told in the words of these tests, over calls as goca sends them (go_client.py): volumes of the
CSI driver, load balancers of the cloud provider, machines and routers of the cluster API, a machine of
docker-machine, an image that Packer makes.
"""

from collections.abc import Iterator

import pytest
from tests.compat.api import ADMIN, Api, sandbox_with
from tests.compat.go_client import GoClient, pair, text_of, vector
from tests.compat.goca import Template, Vector

RUNNING, POWEROFF, DONE = (3, 3), (8, 0), (6, 0)
READY, USED_PERSISTENT = 1, 8
PUBLIC, PRIVATE = "public", "private"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoClient]:
    """A cloud with a host, two networks with an Ethernet range each, two templates that ask for a token."""
    home = tmp_path_factory.mktemp("kubernetes") / "home"
    with sandbox_with(home, 'ONEGATE_ENDPOINT = "http://127.0.0.1:5030"\n') as endpoint:
        yield from furnished(endpoint)


def furnished(endpoint: str) -> Iterator[GoClient]:
    with Api(endpoint) as api:
        host = api("one.host.allocate", "node", "dummy", "dummy", -1)
        api.until(lambda: api.info("host", host), lambda doc: doc.findtext("STATE") == "2", "the host")
    with GoClient(endpoint, ADMIN) as client:
        for name, octet in ((PUBLIC, 7), (PRIVATE, 8)):
            text = [pair("NAME", name), pair("VN_MAD", "dummy"), pair("BRIDGE", f"br{octet}")]
            text.append(vector("AR", TYPE="IP4", SIZE=20, IP=f"10.{octet}.0.10"))
            text.append(vector("AR", TYPE="ETHER", SIZE=8))
            client("one.vn.allocate", "\n".join(text), -1)
        for name, more in (("worker", ()), ("router", (pair("VROUTER", "YES"),))):
            parts = [pair("NAME", name), pair("CPU", 0.1), pair("MEMORY", 32), *more]
            parts.append(
                vector("CONTEXT", NETWORK="YES", TOKEN="YES", SSH_PUBLIC_KEY="$USER[SSH_PUBLIC_KEY]")
            )
            parts.append(vector("GRAPHICS", TYPE="VNC", LISTEN="0.0.0.0"))
            if name == "worker":
                parts.append(vector("NIC", NETWORK=PUBLIC))
            client("one.template.allocate", "\n".join(parts))
        yield client


def named(one: GoClient, kind: str, name: str) -> int:
    oid = one.by_name(kind, name)
    assert oid is not None, f"no {kind} {name}"
    return oid


def settle(one: GoClient, oid: int, wanted: tuple[int, int]) -> Template:
    """The VM's template once it is in the state."""
    vm = one.until("vm", oid, lambda vm: (vm["STATE"], vm["LCM_STATE"]) == wanted, lambda vm: True)
    read = vm["TEMPLATE"]
    assert isinstance(read, Template)
    return read


def context_of(read: Template, **values: str) -> Template:
    """The template with a context that has the values in place of older ones."""
    kept = [each for each in read.vector("CONTEXT").pairs if each[0] not in values]
    others = [each for each in read.vectors if each[0] != "CONTEXT"]
    return Template(read.pairs, [*others, ("CONTEXT", [*kept, *values.items()])])


# The cluster API's machines


def machine(one: GoClient, name: str, network: str) -> int:
    """A machine as the cluster API makes it: the whole template, its first NIC in another network."""
    read: Template = one.info("template", named(one, "template", "worker"), False, True)["TEMPLATE"]
    nic = [each for each in read.all("NIC")[0].pairs if each[0] != "NETWORK"]
    read = context_of(read, BACKEND="YES", USER_DATA_ENCODING="base64", USER_DATA="I2Nsb3VkLWNvbmZpZwo=")
    others = [each for each in read.vectors if each[0] != "NIC"]
    whole = Template([*read.pairs, ("NAME", name)], [("NIC", [*nic, ("NETWORK", network)]), *others])
    return one.id("one.vm.allocate", text_of(whole), False)


def test_a_machine_has_its_address_in_the_context_before_it_runs(one: GoClient) -> None:
    oid = machine(one, "control-0", PRIVATE)
    read = one.info("vm", oid, True)["TEMPLATE"]
    address = read.vector("CONTEXT").get("ETH0_IP")
    assert address == read.vector("NIC").get("IP")
    assert address.startswith("10.8.0.")
    assert named(one, "vm", "control-0") == oid
    backend = Template([("ONEGATE_HAPROXY_LB0_IP", "<ETH0_EP0>"), ("ONEGATE_HAPROXY_LB0_PORT", "6443")], [])
    one("one.vm.update", oid, text_of(backend), 1)
    assert one.info("vm", oid)["USER_TEMPLATE"].get("ONEGATE_HAPROXY_LB0_IP") == "<ETH0_EP0>"
    settle(one, oid, RUNNING)
    one("one.vm.action", "terminate-hard", oid)
    settle(one, oid, DONE)
    assert one.by_name("vm", "control-0") is None


def test_a_control_planes_router_has_its_floating_addresses_at_once(one: GoClient) -> None:
    nics = [
        vector("NIC", NETWORK=PUBLIC, FLOATING_IP="YES", FLOATING_ONLY="YES"),
        vector("NIC", NETWORK=PRIVATE, FLOATING_IP="YES", FLOATING_ONLY="NO", IP="10.8.0.20"),
    ]
    oid = one.id("one.vrouter.allocate", "\n".join([pair("NAME", "cluster-cp"), *nics]))
    read = one.info("vrouter", oid, True)["TEMPLATE"]
    floating = [nic.get("VROUTER_IP") for nic in read.all("NIC")]
    assert floating[0].startswith("10.7.0.")
    assert floating[1] == "10.8.0.20"
    template = named(one, "template", "router")
    whole = context_of(one.info("template", template, False, True)["TEMPLATE"], ONEAPP_VNF="YES")
    one("one.vrouter.instantiate", oid, 2, template, "", False, text_of(whole))
    machines = one.info("vrouter", oid)["VMS"]["ID"]
    assert len(machines) == 2
    for each in machines:
        vm = settle(one, each, RUNNING)
        assert [nic.get("VROUTER_IP") for nic in vm.all("NIC")] == floating
        assert "IP" not in dict(vm.all("NIC")[0].pairs)
        assert vm.vector("CONTEXT").get("ETH1_VROUTER_IP") == "10.8.0.20"
        assert vm.vector("CONTEXT").get("ONEAPP_VNF") == "YES"
    one("one.vrouter.delete", oid)
    for each in machines:
        settle(one, each, DONE)


# The cloud provider's load balancers


def reserve(one: GoClient, name: str, size: int, ar: int, into: int | None = None) -> int:
    pairs = [pair("NAME", name), pair("SIZE", size), pair("AR_ID", ar)]
    if into is not None:
        pairs.append(pair("NETWORK_ID", into))
    return one.id("one.vn.reserve", named(one, "vn", PUBLIC), "\n".join(pairs))


def test_a_load_balancer_has_a_range_with_its_name_and_a_held_address(one: GoClient) -> None:
    reserved = reserve(one, "kube-vr", 1, 1)
    ether = one.info("vn", reserved, True)["AR_POOL>AR"][0]
    assert (ether["TYPE"], ether["IP"]) == ("ETHER", None)
    balancer = reserve(one, "kube-lb", 1, 0)
    first = marked(one, balancer, "kube-default-web")
    assert reserve(one, "kube-lb", 1, 0, balancer) == balancer
    second = marked(one, balancer, "kube-default-api")
    assert first != second

    nics = [vector("NIC", NETWORK="kube-vr"), vector("NIC", NETWORK=PRIVATE, FLOATING_IP="YES")]
    router = one.id("one.vrouter.allocate", "\n".join([pair("NAME", "kube-lb"), *nics]))
    template = named(one, "template", "router")
    read = context_of(
        one.info("template", template, False, True)["TEMPLATE"], ONEAPP_VNF_HAPROXY_ENABLED="YES"
    )
    one("one.vrouter.instantiate", router, 1, template, "", False, text_of(read))
    (vm,) = one.info("vrouter", router, True)["VMS"]["ID"]
    before = settle(one, vm, RUNNING)
    # The whole template goes back, disks, NICs and all; only the sections of a configuration are taken.
    values = {"ONEAPP_VROUTER_ETH0_VIP0": first, "ONEAPP_VNF_HAPROXY_LB0_IP": first}
    one("one.vm.updateconf", vm, text_of(context_of(before, **values)))
    after = settle(one, vm, RUNNING)
    assert {name: after.vector("CONTEXT").get(name) for name in values} == values
    assert after.all("NIC") == before.all("NIC")
    assert after.get("MEMORY") == before.get("MEMORY")

    one("one.vn.release", balancer, vector("LEASES", IP=second))
    one("one.vn.rm_ar", balancer, 1)
    one("one.vrouter.delete", router)
    settle(one, vm, DONE)
    one("one.vn.delete", reserved)
    one("one.vn.release", balancer, vector("LEASES", IP=first))
    one("one.vn.delete", balancer)
    assert one.by_name("vn", "kube-lb") is None


def marked(one: GoClient, network: int, name: str) -> str:
    """Names the youngest range of the reservation, holds its address, and answers it."""
    young = one.info("vn", network, True)["AR_POOL>AR"][-1]
    one("one.vn.update_ar", network, vector("AR", AR_ID=young["AR_ID"], LB_NAME=name))
    assert f"<LB_NAME><![CDATA[{name}]]></LB_NAME>" in one("one.vn.info", network, True)
    read = one.info("vn", network, True)["AR_POOL>AR"][-1]
    assert (read["AR_ID"], read["IP"], read["SIZE"]) == (young["AR_ID"], young["IP"], 1)
    one("one.vn.hold", network, vector("LEASES", IP=read["IP"]))
    assert len(one.info("vn", network, True)["AR_POOL>AR"][-1]["LEASES>LEASE"]) == 1
    return str(read["IP"])


# The CSI driver's volumes


def test_a_volume_is_made_attached_found_detached_and_deleted(one: GoClient) -> None:
    node = machine(one, "node-0", PRIVATE)
    settle(one, node, RUNNING)
    words = [pair("NAME", "pvc-1"), pair("SIZE", 64), pair("PERSISTENT", "YES"), pair("OWNER", "kube")]
    volume = one.id("one.image.allocate", "\n".join([*words, pair("TYPE", "DATABLOCK")]), 1)
    one.until("image", volume, lambda image: image["STATE"] == READY, lambda image: True)
    owned = [each["ID"] for each in one.pool("image") if dict(each["TEMPLATE"].pairs).get("OWNER") == "kube"]
    assert owned == [volume]
    one("one.vm.attach", node, vector("DISK", IMAGE_ID=volume))
    read = settle(one, node, RUNNING)
    (disk,) = [each for each in read.all("DISK") if each.get("IMAGE_ID") == str(volume)]
    assert disk.get("TARGET")
    assert one.info("image", volume, True)["STATE"] == USED_PERSISTENT
    one("one.vm.detach", node, disk.number("DISK_ID"))
    settle(one, node, RUNNING)
    one.until("image", volume, lambda image: image["STATE"] == READY, lambda image: True)
    one("one.image.delete", volume)
    for _ in range(2000):
        if one.is_gone("image", volume):
            break
    assert one.by_name("image", "pvc-1") is None
    (capacity,) = [each["FREE_MB"] for each in one.pool("datastore") if each["NAME"] == "default"]
    assert capacity > 0
    one("one.vm.action", "terminate-hard", node)
    settle(one, node, DONE)


# docker-machine's driver


def test_a_docker_machine_is_made_stopped_started_and_removed(one: GoClient) -> None:
    image = packed(one, "boot2docker")
    parts = [
        pair("NAME", "docker-0"),
        vector("DISK", IMAGE=one.info("image", image)["NAME"], IMAGE_UNAME="oneadmin", DEV_PREFIX="vd"),
        vector("DISK", SIZE="16", TYPE="fs", FORMAT="raw"),
        vector("GRAPHICS", LISTEN="0.0.0.0", TYPE="vnc"),
        pair("CPU", "0.1"),
        pair("MEMORY", "64"),
        vector("NIC", NETWORK=PRIVATE, NETWORK_UNAME="oneadmin"),
        vector("CONTEXT", NETWORK="YES", DOCKER_SSH_USER="docker", START_SCRIPT_BASE64="IyEvYmluL3NoCg=="),
    ]
    oid = one.id("one.vm.allocate", "\n".join(parts), False)
    assert named(one, "vm", "docker-0") == oid
    assert one.info("vm", oid)["TEMPLATE"].vector("NIC").get("IP").startswith("10.8.")
    settle(one, oid, RUNNING)
    for action, wanted in (("poweroff", POWEROFF), ("resume", RUNNING), ("reboot", RUNNING)):
        one("one.vm.action", action, oid)
        settle(one, oid, wanted)
    one("one.vm.action", "terminate-hard", oid)
    settle(one, oid, DONE)


# Packer


def packed(one: GoClient, name: str) -> int:
    """An image as a Packer builder asks for it: every word that it knows, most of them empty."""
    words: dict[str, str | int] = {
        "NAME": name,
        "DATASTORE_ID": 1,
        "TYPE": "DATABLOCK",
        "PATH": "",
        "PERMISSIONS": "",
        "SIZE": 16,
    }
    words |= {
        "LOCK": "",
        "DEV_PREFIX": "vd",
        "TARGET": "",
        "DRIVER": "",
        "FORMAT": "",
        "GROUP": "",
        "TAGS": "",
    }
    oid = one.id("one.image.allocate", "\n".join(pair(key, value) for key, value in words.items()), 1)
    one.until("image", oid, lambda image: image["STATE"] == READY, lambda image: True)
    return oid


def test_an_image_is_made_of_words_without_values_cloned_and_deleted(one: GoClient) -> None:
    oid = packed(one, "built")
    copy = one.id("one.image.clone", oid, "built-copy", 1)
    read = one.until("image", copy, lambda image: image["STATE"] == READY, lambda image: True)
    assert (read["NAME"], read["SIZE"], read["TEMPLATE"].get("DEV_PREFIX")) == ("built-copy", 16, "vd")
    for each in (oid, copy):
        one("one.image.delete", each)


def test_a_disk_of_a_stopped_machine_becomes_an_image(one: GoClient) -> None:
    image = packed(one, "source")
    parts = [pair("NAME", "build"), pair("CPU", 0.1), pair("MEMORY", 32), vector("DISK", IMAGE_ID=image)]
    oid = one.id("one.vm.allocate", "\n".join(parts), False)
    settle(one, oid, RUNNING)
    one("one.vm.action", "poweroff-hard", oid)
    disk: Vector = settle(one, oid, POWEROFF).all("DISK")[0]
    saved = one.id("one.vm.disksaveas", oid, disk.number("DISK_ID"), "artifact", "", -1)
    one.until("image", saved, lambda image: image["STATE"] == READY, lambda image: True)
    settle(one, oid, POWEROFF)
    assert named(one, "image", "artifact") == saved
    one("one.vm.action", "terminate-hard", oid)
    settle(one, oid, DONE)
