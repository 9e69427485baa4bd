"""What guests of virtual routers see of their router and its networks: a real core, simulated drivers."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from bench.flow_cloud import Cloud, cloud_in, until
from tests.gate.test_server import Guest, guest

from merope.client import Client

NETWORK = """
NAME="{name}"
VN_MAD="dummy"
BRIDGE="br0"
NETWORK_ADDRESS="10.0.{number}.0"
NETWORK_MASK="255.255.255.0"
GATEWAY="10.0.{number}.1"
DNS="9.9.9.9"
SECRET_OF_THE_OWNER="no guest is told"
AR=[TYPE="IP4",IP="10.0.{number}.10",MAC="02:00:0a:00:0{number}:0a",SIZE="20"]
"""
MACHINE = 'NAME="{name}"\nCPU="0.01"\nMEMORY="16"\nVROUTER="YES"\nCONTEXT=[TOKEN="YES"]'
USE_BY_ALL, USE_BY_NONE = (-1, -1, -1, -1, -1, -1, 1, 0, 0), (-1, -1, -1, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Place:
    """Networks `front`, `back` and `other` of oneadmin; a router in the first two, and another user, eve."""

    cloud: Cloud
    front: int
    back: int
    other: int
    router: int
    eve: int

    @property
    def guest(self) -> Guest:
        return guest(self.cloud, _first_vm(self.cloud, self.router))


def _first_vm(cloud: Cloud, router: int) -> int:
    with cloud.client() as client:
        return int(client.info("vrouter", router).findtext("VMS/ID", "-1"))


def _machine(client: Client, name: str) -> int:
    return client.number("one.template.allocate", MACHINE.format(name=name))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("routers") / "home"
    with cloud_in(home, "", ":vm_rate: 1000\n:vm_burst: 1000\n") as cloud, cloud.client() as client:
        names = ("front", "back", "other")
        made = [
            client.number("one.vn.allocate", NETWORK.format(name=name, number=number), -1)
            for number, name in enumerate(names, 1)
        ]
        front, back, other = made
        nics = (
            f'NIC=[NETWORK_ID="{front}",FLOATING_IP="YES"]\n'
            f'NIC=[NETWORK_ID="{back}",VROUTER_MANAGEMENT="YES"]'
        )
        router = client.number("one.vrouter.allocate", f'NAME="edge"\n{nics}')
        machine = _machine(client, "of edge")
        client.call("one.vrouter.instantiate", router, 1, machine, "edge-%i", False, "")
        # Users may use all networks by the default VDC; without it, their permissions decide.
        client.call("one.vdc.delgroup", 0, 1)
        eve = client.number("one.user.allocate", "eve", "secret", "core", [1])
        yield Place(cloud, front, back, other, router, eve)


@pytest.fixture
def of_eve(place: Place) -> Iterator[tuple[int, Guest]]:
    """A router of eve's in `front`, which she may use and does not own."""
    with place.cloud.client() as client, place.cloud.client("eve:secret") as eve:
        client.call("one.vn.chmod", place.front, *USE_BY_ALL)
        nic = f'NIC=[NETWORK_ID="{place.front}"]'
        router = client.number("one.vrouter.allocate", f'NAME="of eve"\n{nic}')
        client.call("one.vrouter.chown", router, place.eve, -1)
        machine = _machine(eve, "of eve")
        eve.call("one.vrouter.instantiate", router, 1, machine, "eve-%i", False, "")
        yield router, guest(place.cloud, _first_vm(place.cloud, router))
        client.call("one.vn.chmod", place.front, *USE_BY_NONE)
        client.call("one.vrouter.delete", router)
        client.call("one.template.delete", machine, False)


def test_a_guest_of_a_router_sees_its_router(place: Place) -> None:
    mine = place.guest
    status, seen = mine.ask("GET", "/vrouter")
    front = {
        "NETWORK": "front",
        "NETWORK_ID": str(place.front),
        "NIC_ID": "0",
        "VROUTER_IP": "10.0.1.10",
        "VROUTER_MAC": "02:00:0a:00:01:0a",
        "FLOATING_IP": "YES",
    }
    back = {"NETWORK": "back", "NETWORK_ID": str(place.back), "NIC_ID": "1", "VROUTER_MANAGEMENT": "YES"}
    assert (status, seen["VROUTER"]) == (
        200,
        {
            "NAME": "edge",
            "ID": str(place.router),
            "VMS": {"ID": [str(mine.vm)]},
            "TEMPLATE": {"NIC": [front, back]},
        },
    )


def test_a_guest_of_a_router_sees_the_networks_that_it_joins(place: Place) -> None:
    mine = place.guest
    status, seen = mine.ask("GET", f"/vnet/{place.front}")
    assert status == 200
    network = seen["VNET"]
    (addresses,) = network.pop("AR_POOL")["AR"]
    assert network == {
        "ID": str(place.front),
        "NAME": "front",
        "USED_LEASES": "2",
        "VROUTERS": {"ID": [str(place.router)]},
        "PARENT_NETWORK_ID": "",
        "TEMPLATE": {
            "NETWORK_ADDRESS": "10.0.1.0",
            "NETWORK_MASK": "255.255.255.0",
            "GATEWAY": "10.0.1.1",
            "DNS": "9.9.9.9",
        },
    }
    assert addresses.pop("LEASES") == {
        "LEASE": [
            {"IP": "10.0.1.10", "MAC": "02:00:0a:00:01:0a", "VROUTER": str(place.router)},
            {"IP": "10.0.1.11", "MAC": "02:00:0a:00:01:0b", "VM": str(mine.vm)},
        ]
    }
    assert addresses == {
        "AR_ID": "0",
        "IP": "10.0.1.10",
        "IP_END": "10.0.1.29",
        "MAC": "02:00:0a:00:01:0a",
        "MAC_END": "02:00:0a:00:01:1d",
        "SIZE": "20",
        "TYPE": "IP4",
        "USED_LEASES": "2",
    }
    assert mine.ask("GET", f"/vnet/{place.back}")[1]["VNET"]["NAME"] == "back"


def test_a_network_that_the_router_does_not_join_is_not_shown(place: Place) -> None:
    for wanted in (str(place.other), "99999", "x", "0%20"):
        status, refusal = place.guest.ask("GET", f"/vnet/{wanted}")
        assert (status, "is none of the router's" in refusal["error"]["message"]) == (403, True), wanted


def test_a_network_that_the_router_joins_later_is_shown_while_it_does(place: Place) -> None:
    mine = place.guest
    with place.cloud.client() as client:
        client.call("one.vrouter.attachnic", place.router, f'NIC=[NETWORK_ID="{place.other}"]')
        assert mine.ask("GET", f"/vnet/{place.other}")[1]["VNET"]["NAME"] == "other"
        until(lambda: client.info("vm", mine.vm).findtext("LCM_STATE") == "3")
        client.call("one.vrouter.detachnic", place.router, 2)
        assert mine.ask("GET", f"/vnet/{place.other}")[0] == 403
        until(lambda: client.info("vm", mine.vm).findtext("LCM_STATE") == "3")


def test_a_guest_of_no_router_does_not_become_one_by_what_it_writes(place: Place) -> None:
    with place.cloud.client() as client:
        alone = guest(place.cloud, client.number("one.template.instantiate", 0, "alone", True, "", False))
    assert alone.ask("PUT", "/vm", f"VROUTER_ID={place.router}")[0] == 200
    for path in ("/vrouter", f"/vnet/{place.front}"):
        status, refusal = alone.ask("GET", path)
        assert (status, "is of no virtual router" in refusal["error"]["message"]) == (400, True), path


def test_of_a_network_that_the_owner_may_only_use_no_leases_of_others_are_shown(
    place: Place, of_eve: tuple[int, Guest]
) -> None:
    router, mine = of_eve
    (addresses,) = mine.ask("GET", f"/vnet/{place.front}")[1]["VNET"]["AR_POOL"]["AR"]
    holders = [lease.get("VM") or lease.get("VROUTER") for lease in addresses["LEASES"]["LEASE"]]
    assert holders == [str(mine.vm)]
    assert mine.ask("GET", "/vrouter")[1]["VROUTER"]["ID"] == str(router)


def test_a_network_that_the_owner_may_use_no_more_is_not_shown(
    place: Place, of_eve: tuple[int, Guest]
) -> None:
    _, mine = of_eve
    path = f"/vnet/{place.front}"
    assert mine.ask("GET", path)[0] == 200
    with place.cloud.client() as client:
        client.call("one.vn.chmod", place.front, *USE_BY_NONE)
    assert mine.ask("GET", path)[0] == 403


def test_a_router_that_was_given_to_somebody_else_is_not_shown(
    place: Place, of_eve: tuple[int, Guest]
) -> None:
    router, mine = of_eve
    assert mine.ask("GET", "/vrouter")[0] == 200
    with place.cloud.client() as client:
        client.call("one.vrouter.chown", router, 0, 0)
    for path in ("/vrouter", f"/vnet/{place.front}"):
        assert mine.ask("GET", path)[0] in (401, 403), path


def test_a_token_of_another_guest_opens_no_router(place: Place, of_eve: tuple[int, Guest]) -> None:
    _, mine = of_eve
    stolen = Guest(place.cloud, place.guest.vm, mine.token)
    assert [stolen.ask("GET", path)[0] for path in ("/vrouter", f"/vnet/{place.front}")] == [401, 401]
