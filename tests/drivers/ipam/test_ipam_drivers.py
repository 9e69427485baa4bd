"""What every driver of address management keeps, and what is particular to each."""

import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from merope.drivers import registry
from merope.drivers.errors import DriverError
from merope.drivers.ipam.base import AddressManager
from merope.drivers.ipam.executable import ExecutableManager
from merope.drivers.ipam.ledger import LedgerManager
from merope.drivers.simulated.addresses import SimulatedManager
from merope.engine.places import Layout
from merope.engine.toolbox import LocalDrivers

RANGE = {"TYPE": "IP4", "IP": "10.9.0.1", "MAC": "02:00:0a:09:00:01", "SIZE": "4", "IPAM_MAD": "some"}

#: A manager of third parties: one file of addresses, and the protocol as 5.12 documents it.
SCRIPT = """#!{python}
import base64, ipaddress, pathlib, sys
from xml.etree import ElementTree

assert len(sys.argv) == 2 and sys.argv[1].isdigit()
data = ElementTree.fromstring(base64.b64decode(sys.stdin.read()))
assert data.tag == "IPAM_DRIVER_ACTION_DATA"
first = ipaddress.ip_address(data.findtext("AR/IP"))
count = int(data.findtext("AR/SIZE"))
size = int(data.findtext("ADDRESS/SIZE") or 0)
asked = data.findtext("ADDRESS/IP")
book = pathlib.Path(__file__).with_name("book")
taken = set(book.read_text().split()) if book.exists() else set()
action = pathlib.Path(__file__).name

def save(addresses):
    book.write_text(" ".join(sorted(addresses)))

if action == "register_address_range":
    print('AR = [ TYPE = "IP4", IP = "%s", SIZE = "%d", GATEWAY = "10.9.0.254" ]' % (first, count))
elif action == "unregister_address_range":
    save(())
elif action == "free_address":
    save(taken - {{asked}})
else:
    starts = [ipaddress.ip_address(asked)] if asked else [first + n for n in range(count - size + 1)]
    for start in starts:
        wanted = {{str(start + n) for n in range(size)}}
        if not wanted & taken:
            save(taken | wanted)
            print('ADDRESS = [ IP = "%s", SIZE = "%d" ]' % (start, size))
            break
    else:
        sys.exit("nothing is free")
"""
ACTIONS = (
    "register_address_range",
    "unregister_address_range",
    "allocate_address",
    "get_address",
    "free_address",
)


def executables(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for action in ACTIONS:
        path = directory / action
        path.write_text(SCRIPT.format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return directory


MANAGERS: dict[str, Callable[[Path], AddressManager]] = {
    "ledger": lambda directory: LedgerManager(directory / "ledger"),
    "simulated": lambda directory: SimulatedManager(),
    "executable": lambda directory: ExecutableManager(executables(directory / "third"), 7),
}


@pytest.fixture(params=sorted(MANAGERS))
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> AddressManager:
    return MANAGERS[request.param](tmp_path)


# The contract


def test_a_range_is_registered_as_it_is_or_completed(manager: AddressManager) -> None:
    found = manager.register(RANGE)
    assert (found["TYPE"], found["IP"], found["SIZE"]) == ("IP4", "10.9.0.1", "4")


@pytest.mark.runs("ipam/ledger", "register", "get")
def test_addresses_are_given_once(manager: AddressManager) -> None:
    manager.register(RANGE)
    given = [manager.get(RANGE, 1)["IP"] for _ in range(4)]
    assert sorted(given) == ["10.9.0.1", "10.9.0.2", "10.9.0.3", "10.9.0.4"]
    with pytest.raises(DriverError):
        manager.get(RANGE, 1)


@pytest.mark.runs("ipam/ledger", "allocate")
def test_an_address_that_is_asked_for_is_given_when_it_is_free(manager: AddressManager) -> None:
    manager.register(RANGE)
    manager.allocate(RANGE, 2, 1)
    with pytest.raises(DriverError):
        manager.allocate(RANGE, 2, 1)
    with pytest.raises(DriverError):
        manager.allocate(RANGE, 1, 2)
    assert manager.get(RANGE, 2)["IP"] == "10.9.0.1"


def test_an_address_that_is_freed_is_given_again(manager: AddressManager) -> None:
    manager.register(RANGE)
    manager.allocate(RANGE, 0, 4)
    for _ in range(2):
        manager.free(RANGE, 1, 2)
    assert manager.get(RANGE, 2)["IP"] == "10.9.0.2"


@pytest.mark.runs("ipam/ledger", "free", "unregister")
def test_giving_back_is_idempotent(manager: AddressManager) -> None:
    manager.register(RANGE)
    for _ in range(2):
        manager.free(RANGE, 0, 4)
    for _ in range(2):
        manager.unregister(RANGE)
    manager.register(RANGE)
    manager.allocate(RANGE, 0, 4)


# The ledger


def test_clouds_that_share_a_ledger_share_the_range(tmp_path: Path) -> None:
    one, other = LedgerManager(tmp_path), LedgerManager(tmp_path)
    one.register(RANGE)
    other.register({**RANGE, "AR_ID": "5"})
    assert [one.get(RANGE, 1)["IP"], other.get(RANGE, 1)["IP"]] == ["10.9.0.1", "10.9.0.2"]
    one.unregister(RANGE)
    assert other.get(RANGE, 1)["IP"] == "10.9.0.3", "the page stays while addresses are given"


@pytest.mark.parametrize(
    "more", [{"IP": "10.9.0.4"}, {"IP": "10.9.0.1", "SIZE": "5"}, {"IP": "10.8.255.255"}]
)
def test_ranges_of_a_ledger_do_not_overlap(tmp_path: Path, more: dict[str, str]) -> None:
    ledger = LedgerManager(tmp_path)
    ledger.register(RANGE)
    with pytest.raises(DriverError, match="overlaps with another in the ledger: 4 addresses from 10"):
        ledger.register({**RANGE, **more})
    ledger.register({**RANGE, "IP": "10.9.0.5"})


def test_a_ledger_keeps_ranges_of_every_kind(tmp_path: Path) -> None:
    ledger = LedgerManager(tmp_path)
    ether = {"TYPE": "ETHER", "MAC": "02:00:00:00:00:01", "SIZE": "3"}
    static = {"TYPE": "IP6_STATIC", "IP6": "2001:db8::1", "SIZE": "2", "PREFIX_LENGTH": "64"}
    for attributes in (ether, static):
        ledger.register(attributes)
    assert ledger.get(ether, 1) == {"MAC": "02:00:00:00:00:01"}
    assert ledger.get({**static, "MAC": "02:00:00:00:00:09"}, 1)["IP6"] == "2001:db8::1"
    with pytest.raises(DriverError, match="by its MAC, which is missing"):
        ledger.register({"TYPE": "ETHER", "SIZE": "3"})
    with pytest.raises(DriverError, match="cannot keep the range"):
        ledger.register({"TYPE": "IP4", "IP": "x", "SIZE": "3"})


def test_a_range_that_was_not_registered_has_no_addresses(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="it was not registered"):
        LedgerManager(tmp_path).get(RANGE, 1)


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    ledger = LedgerManager(tmp_path)
    ledger.register(RANGE)
    [page] = tmp_path.glob("*.json")
    page.write_text("{")
    with pytest.raises(DriverError, match=f"the page {page.name} of the ledger is damaged"):
        ledger.get(RANGE, 1)


def test_a_ledger_gives_no_address_twice_to_many_at_once(tmp_path: Path) -> None:
    wide = {**RANGE, "SIZE": "60"}
    LedgerManager(tmp_path).register(wide)
    given: list[str] = []

    def take() -> None:
        own = LedgerManager(tmp_path)
        given.extend(own.get(wide, 1)["IP"] for _ in range(10))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == len(set(given)) == 60


# Executables


def test_an_executable_completes_the_range(tmp_path: Path) -> None:
    manager = ExecutableManager(executables(tmp_path / "third"))
    assert manager.register(RANGE)["GATEWAY"] == "10.9.0.254"


def test_what_an_executable_says_is_the_reason(tmp_path: Path) -> None:
    manager = ExecutableManager(executables(tmp_path / "third"))
    manager.allocate(RANGE, 0, 4)
    with pytest.raises(DriverError, match="nothing is free"):
        manager.get(RANGE, 1)


@pytest.mark.parametrize(
    ("printed", "detail"),
    [("", "printed no AR = "), ("IP=1", "printed no AR = "), ("AR = [", "printed no template")],
)
def test_what_an_executable_prints_must_be_a_range(tmp_path: Path, printed: str, detail: str) -> None:
    directory = executables(tmp_path / "third")
    (directory / "register_address_range").write_text(f"#!/bin/sh\necho '{printed}'\n")
    with pytest.raises(DriverError, match=detail):
        ExecutableManager(directory).register(RANGE)


def test_an_action_that_is_not_there_is_named(tmp_path: Path) -> None:
    directory = executables(tmp_path / "third")
    (directory / "free_address").unlink()
    with pytest.raises(DriverError, match="third has no executable free_address"):
        ExecutableManager(directory).free(RANGE, 0, 1)


# Where they come from


def test_a_name_is_a_driver_of_ours_or_a_directory_of_executables(tmp_path: Path) -> None:
    drivers = LocalDrivers(tmp_path, Layout(tmp_path / "datastores"))
    executables(tmp_path / "remotes" / "ipam" / "third")
    assert isinstance(drivers.ipam("third", 3), ExecutableManager)
    ledger = drivers.ipam("ledger", 3)
    ledger.register(RANGE)
    assert [path.parent for path in tmp_path.glob("ipam/ledger/*.json")] == [tmp_path / "ipam" / "ledger"]
    with pytest.raises(DriverError, match="simulated drivers are for a sandbox"):
        drivers.ipam("dummy", 3)
    with pytest.raises(DriverError, match="there is no ipam driver 'other'; there are dummy, ledger"):
        drivers.ipam("other", 3)
    assert registry.ipam("ledger") is LedgerManager
