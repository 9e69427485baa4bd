"""A host is cut off: it is switched off and read back, its VMs run elsewhere, and nothing runs twice.

The controller of a host is the bed's power, by an executable in `remotes/fencing`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from tests.e2e.cloud import RUNNING, BedCloud, BedVm
from tests.real.machine import eventually
from tests.testbed.host import BedHost

from merope.model.states import HostState, LcmState, VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]
UNKNOWN = (VmState.ACTIVE, LcmState.UNKNOWN)
REPOSITORY = Path(__file__).parents[2]
#: As OpenNebula 5.12 documents it, but for the cycles.
HOOK = """\
ARGUMENTS = "$TEMPLATE -m -p 0"
COMMAND   = "ft/host_error.rb"
NAME      = "host_error"
STATE     = "ERROR"
REMOTE    = "no"
RESOURCE  = HOST
TYPE      = state
"""
CONTROLLER = """\
#!{python}
import base64, re, sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from tests.testbed.bed import Bed
given = base64.b64decode(sys.stdin.read()).decode()
host = Bed.at(Path({bed!r})).host(re.search(r"<NAME><!\\[CDATA\\[(.*?)\\]\\]></NAME>", given)[1])
if Path({silent!r}).exists():
    sys.exit("the controller is silent")
if sys.argv[1] == "off":
    host.power_off()
else:
    print("on" if host.is_on else "off")
"""


class Failures:
    """The cloud, its hook, and the controllers of its hosts."""

    def __init__(self, cloud: BedCloud) -> None:
        self.cloud = cloud
        self._silent = cloud.home / "silent"
        path = cloud.home / "remotes" / "fencing" / "bed"
        path.parent.mkdir(parents=True, exist_ok=True)
        places = {"python": sys.executable, "repository": str(REPOSITORY)}
        places |= {"bed": str(cloud.bed.directory), "silent": str(self._silent)}
        path.write_text(CONTROLLER.format(**places))
        path.chmod(0o700)
        for host in cloud.hosts.values():
            cloud.ask("one.host.update", host, "FENCING=[DRIVER=bed]", 1)
        self.hook = cloud.ask("one.hook.allocate", HOOK)

    def silence(self, silent: bool) -> None:
        if silent:
            self._silent.touch()
        else:
            self._silent.unlink(missing_ok=True)

    def failure(self, name: str) -> Element | None:
        return self.cloud.document("host", self.cloud.hosts[name]).find("TEMPLATE/FAILURE")

    def stage(self, name: str) -> str:
        found = self.failure(name)
        return "" if found is None else found.findtext("STAGE", "")

    def back(self, host: BedHost) -> None:
        """The host is on, connected, and in use."""
        host.power_on()
        host.link_up()
        host.wait()
        self.cloud.ask("one.host.status", self.cloud.hosts[host.name], 0)
        self.cloud.wait_for_host(host.name, limit=120.0)


@pytest.fixture
def failures(cloud: BedCloud) -> Iterator[Failures]:
    made = Failures(cloud)
    yield made
    made.silence(False)
    cloud.ask("one.hook.delete", made.hook)
    for host in cloud.bed.hosts:
        made.back(host)


@pytest.fixture
def vm(cloud: BedCloud, failures: Failures) -> Iterator[BedVm]:
    made = BedVm.make(cloud).run()
    yield made
    made.remove()


@pytest.mark.parametrize("accident", [False, True], ids=["undisturbed", "core killed"])
def test_a_host_that_is_cut_off_is_switched_off_and_its_vms_run_elsewhere(
    cloud: BedCloud, failures: Failures, vm: BedVm, accident: bool
) -> None:
    lost = cloud.bed.host(vm.host)
    vm.guest.get("/cgi-bin/note?write=kept")
    lost.link_down()
    cloud.wait_for_host(lost.name, HostState.ERROR, limit=120.0)
    assert lost.is_on
    assert cloud.runs_on(vm.id) == [lost.name]
    eventually("somebody has ordered it", lambda: failures.stage(lost.name) not in ("", "NOTED"))
    if accident:
        cloud.kill_the_core()
    eventually("its VM is somewhere else", lambda: vm.host != lost.name, 180.0)
    assert not lost.is_on
    vm.run()
    assert cloud.runs_on(vm.id) == [vm.host]
    assert vm.guest.get("/cgi-bin/note") == "kept\n"

    failures.back(lost)
    assert cloud.runs_on(vm.id) == [vm.host] != [lost.name]
    assert failures.failure(lost.name) is None


def test_without_a_controller_that_answers_nothing_runs_twice(
    cloud: BedCloud, failures: Failures, vm: BedVm
) -> None:
    failures.silence(True)
    cut, boot = cloud.bed.host(vm.host), vm.guest.boot_id()
    cut.link_down()
    eventually("it could not be confirmed", lambda: failures.stage(cut.name) == "UNCONFIRMED", 180.0)
    vm.wait_for(UNKNOWN)
    assert "the controller is silent" in vm.look().error
    assert cloud.runs_on(vm.id) == [cut.name]

    cut.link_up()
    vm.wait_for(RUNNING)
    assert vm.run().guest.boot_id() == boot
    failures.back(cut)


def test_what_runs_on_a_host_that_was_wrongly_said_to_be_off_is_removed_when_it_is_back(
    cloud: BedCloud, failures: Failures
) -> None:
    failures.silence(True)
    vm = BedVm.make(cloud).run()
    cut = cloud.bed.host(vm.host)
    cut.link_down()
    eventually("it could not be confirmed", lambda: failures.stage(cut.name) == "UNCONFIRMED", 180.0)
    cloud.ask("one.host.recover", cloud.hosts[cut.name], "delete", False, 0, True)
    cloud.ask("one.host.recover", cloud.hosts[cut.name], "confirm", False, 0, True)
    vm.wait_for(VmState.DONE)
    assert cloud.runs_on(vm.id) == [cut.name]

    failures.back(cut)
    assert cloud.runs_on(vm.id) == []
