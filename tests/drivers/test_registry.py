"""Names become drivers when they are asked for."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from merope.drivers import registry
from merope.drivers.errors import DriverError
from merope.drivers.network.dummy import DummyNetwork
from merope.drivers.registry import BUILT_IN, Kind
from merope.drivers.simulated.hypervisor import SimulatedHypervisor
from merope.drivers.transfer.ssh import SshTransfer


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.driver.cache_clear()


def third_party(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    points = EntryPoints([EntryPoint(name, value, "merope.drivers.transfer")])
    monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in Kind for name in BUILT_IN[kind]])
def test_every_name_in_the_tables_is_a_class(kind: Kind, name: str) -> None:
    assert isinstance(registry.driver(kind, name), type)


def test_a_name_means_a_class_of_its_kind() -> None:
    assert registry.transfer("ssh") is SshTransfer
    assert registry.hypervisor("dummy") is SimulatedHypervisor
    assert registry.network("dummy") is DummyNetwork


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DriverError, match="no transfer driver 'tape'; there are ceph, dev, dummy, "):
        registry.transfer("tape")


def test_a_third_party_adds_a_driver_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    third_party(monkeypatch, "mine", "merope.drivers.transfer.ssh:SshTransfer")
    assert registry.transfer("mine") is SshTransfer
    assert "mine" in registry.names(Kind.TRANSFER)


def test_a_third_party_cannot_replace_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    third_party(monkeypatch, "ssh", "merope.drivers.transfer.shared:SharedTransfer")
    assert registry.transfer("ssh") is SshTransfer


@pytest.mark.parametrize("value", ["no.such.module:Driver", "merope.drivers.transfer.ssh:Absent"])
def test_a_driver_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    third_party(monkeypatch, "mine", value)
    with pytest.raises(DriverError, match=r"transfer driver 'mine' cannot be loaded: .*(no|Absent)"):
        registry.transfer("mine")


def test_a_driver_is_not_loaded_before_it_is_asked_for() -> None:
    modules = [target.partition(":")[0] for names in BUILT_IN.values() for target in names.values()]
    code = f"import sys, merope.drivers.registry; print([m for m in {modules} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"
