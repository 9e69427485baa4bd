"""REMOTE hooks: the program comes to the host with `onehost sync` and runs there."""

import pytest
from tests.e2e.cloud import BedCloud, BedVm
from tests.real.machine import eventually

from merope.model.states import VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]


@pytest.mark.quick
def test_a_hook_on_a_host_comes_with_sync_and_runs_there(cloud: BedCloud) -> None:
    hooks = cloud.home / "remotes/hooks"
    hooks.mkdir(parents=True, exist_ok=True)
    (hooks / "note.sh").write_text('#!/bin/sh\necho "$(hostname) $*" >>/var/tmp/noted\n')
    (hooks / "note.sh").chmod(0o755)
    with cloud.client as client:
        client.call("one.host.status", cloud.hosts["node1"], 0)
    host = cloud.bed.host("node1")
    eventually("the hook has come", lambda: (host.place / "var-tmp/one/hooks/note.sh").exists())
    cloud.ask(
        "one.hook.allocate",
        "NAME=note\nTYPE=state\nRESOURCE=VM\nON=CUSTOM\nSTATE=POWEROFF\nLCM_STATE=LCM_INIT\n"
        'REMOTE=YES\nCOMMAND=note.sh\nARGUMENTS="one $(id)"',
    )
    vm = BedVm.make(cloud, "node1").run()
    vm.act("poweroff-hard")
    vm.wait_for(VmState.POWEROFF)
    noted = host.place / "var-tmp/noted"
    eventually("it has run", noted.exists, 30)
    assert noted.read_text() == "node1 one $(id)\n"
    vm.remove()
