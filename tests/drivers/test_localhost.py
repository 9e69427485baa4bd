"""Which names are this machine's."""

import socket

import pytest

from merope.drivers.localhost import is_local


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Front")
    monkeypatch.setattr(socket, "getfqdn", lambda: "front.example.org")


@pytest.mark.parametrize(
    "name",
    ["", "localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.5.5.5", "::1", "front",
     "front.example.org", "FRONT.EXAMPLE.ORG"],
)  # fmt: skip
def test_this_machine_is_known_by_its_names_and_loopback_addresses(name: str) -> None:
    assert is_local(name)


@pytest.mark.parametrize(
    "name", ["node1", "front.other.org", "front2", "192.0.2.1", "0.0.0.0", "2001:db8::1", "example.org"]
)
def test_other_names_and_addresses_are_other_machines(name: str) -> None:
    assert not is_local(name)


def test_no_name_server_is_asked_about_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda: pytest.fail("a name server was asked"))
    assert not is_local("node1.example.org")
