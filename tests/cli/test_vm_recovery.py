"""What helps a machine in trouble: hints, interactive recovery; and saving a machine as a template."""

import pytest
from tests.cli.recorded import Answer, FakeCloud, Outcome, Screen, command

from merope.cli.vm_recovery import advice, state_of
from merope.client import OneError, parse_document
from merope.model.states import LcmState, VmState
from merope.model.template import Template

_FAILED = tuple(s for s in LcmState if s.name.endswith("_FAILURE"))


def _vm(state: int, lcm_state: int = 0, error: str = "") -> str:
    message = f"<ERROR><![CDATA[{error}]]></ERROR>" if error else ""
    return (
        f"<VM><ID>7</ID><NAME>web</NAME><STATE>{state}</STATE><LCM_STATE>{lcm_state}</LCM_STATE>"
        f"<USER_TEMPLATE>{message}</USER_TEMPLATE><TEMPLATE/></VM>"
    )


@pytest.mark.parametrize("state", _FAILED)
def test_every_failure_has_an_advice_that_begins_with_trying_again(state: LcmState) -> None:
    found = advice(parse_document(_vm(VmState.ACTIVE, state)))
    assert found is not None
    assert found.commands[0] == "recover {} --retry"
    assert found.commands[-1] == "recover {} --delete"


@pytest.mark.parametrize("state", [s for s in LcmState if s not in _FAILED and s is not LcmState.UNKNOWN])
def test_what_goes_on_by_itself_needs_no_advice(state: LcmState) -> None:
    assert advice(parse_document(_vm(VmState.ACTIVE, state))) is None


@pytest.mark.parametrize("state", [s for s in VmState if s not in (VmState.ACTIVE, VmState.CLONING_FAILURE)])
def test_what_rests_needs_no_advice(state: VmState) -> None:
    assert advice(parse_document(_vm(state, LcmState.BOOT_FAILURE))) is None


def test_beginning_anew_is_no_advice_where_something_was_saved() -> None:
    for state in _FAILED:
        found = advice(parse_document(_vm(VmState.ACTIVE, state)))
        anew = state in (LcmState.BOOT_FAILURE, LcmState.PROLOG_FAILURE)
        assert found is not None
        assert ("recover {} --recreate" in found.commands) == anew


def test_show_says_what_happened_and_what_to_do() -> None:
    vm = _vm(VmState.ACTIVE, LcmState.BOOT_FAILURE, "Sat Nov 21: no bridge br7")
    lines = command("onevm show 7", FakeCloud({"one.vm.info": vm})).out.splitlines()
    assert "ERROR               : Sat Nov 21: no bridge br7" in lines
    assert any(line.startswith("WHAT HAPPENED       : it could not be started; look at") for line in lines)
    wanted = "onevm recover 7 --retry, or onevm recover 7 --recreate, or onevm recover 7 --delete"
    assert f"WHAT TO DO          : {wanted}" in lines


def test_the_commands_of_an_advice_are_commands() -> None:
    for state in (*_FAILED, LcmState.UNKNOWN):
        found = advice(parse_document(_vm(VmState.ACTIVE, state)))
        assert found is not None
        for words in found.commands:
            cloud = FakeCloud({"one.vm.recover": 7, "one.vm.action": 7})
            assert command(f"onevm {words.format(7)}", cloud).code == 0


def test_an_old_error_is_not_shown_once_it_runs() -> None:
    vm = _vm(VmState.ACTIVE, LcmState.RUNNING, "old")
    out = command("onevm show 7", FakeCloud({"one.vm.info": vm})).out
    assert "WHAT TO DO" not in out
    assert "\nERROR " not in out


# --- recover --interactive ---


class _Patient(FakeCloud):
    """A machine that boots when the failed operation is tried again."""

    def __init__(self) -> None:
        super().__init__()
        self.state = LcmState.BOOT_FAILURE
        self.answers = {"one.vm.info": lambda *_: _vm(3, self.state), "one.vm.recover": self._recover}

    def _recover(self, oid: int, how: int) -> int:
        if how == 2:
            self.state = LcmState.BOOT
        return oid

    def recovered(self) -> list[object]:
        return [c.arguments for c in self.calls if c.method == "one.vm.recover"]


def test_interactive_recovery_goes_on_until_nothing_is_wrong() -> None:
    cloud = _Patient()
    outcome = command("onevm recover 7 --interactive", cloud, Screen("f\nx\nr\n", interactive=True))
    assert (outcome.code, cloud.recovered()) == (0, [(7, 0), (7, 2)])
    assert outcome.out.startswith("VM 7 web: BOOT_FAILURE\n  it could not be started; look at")
    assert outcome.out.endswith("VM 7 web: BOOT\n  nothing to recover, or something is under way\n")


def test_interactive_recovery_can_begin_with_a_way() -> None:
    cloud = _Patient()
    assert command("onevm recover 7 --retry --interactive", cloud).code == 0
    assert cloud.recovered() == [(7, 2)]


def test_interactive_recovery_ends_when_the_person_quits() -> None:
    cloud = _Patient()
    assert command("onevm recover 7 --interactive", cloud, Screen("q\n", interactive=True)).code == 0
    assert cloud.recovered() == []


def test_interactive_recovery_needs_a_person() -> None:
    outcome = command("onevm recover 7 --interactive", _Patient())
    assert outcome.code == 255
    assert "nobody sits at a terminal" in outcome.err


# --- save ---

_OFF = (
    "<VM><ID>7</ID><STATE>8</STATE><LCM_STATE>0</LCM_STATE><TEMPLATE><TEMPLATE_ID>3</TEMPLATE_ID><CPU>2</CPU>"
    "<MEMORY>512</MEMORY>"
    "<DISK><DISK_ID>0</DISK_ID><IMAGE_ID>1</IMAGE_ID><IMAGE>debian</IMAGE><TYPE>FILE</TYPE><CACHE>none</CACHE></DISK>"
    "<DISK><DISK_ID>1</DISK_ID><SIZE>100</SIZE><TYPE>fs</TYPE><FORMAT>raw</FORMAT></DISK>"
    "<DISK><DISK_ID>2</DISK_ID><IMAGE_ID>5</IMAGE_ID><TYPE>CDROM</TYPE></DISK>"
    "<NIC><NIC_ID>0</NIC_ID><NETWORK>private</NETWORK><NETWORK_ID>0</NETWORK_ID><IP>10.0.0.1</IP>"
    "<MODEL>virtio</MODEL></NIC></TEMPLATE></VM>"
)


def _save(line: str, **more: Answer) -> tuple[FakeCloud, Outcome]:
    answers: dict[object, Answer] = {
        "one.vm.info": _OFF,
        "one.template.clone": 9,
        "one.vm.disksaveas": 21,
        "one.image.persistent": 21,
        "one.template.update": 9,
        "one.template.delete": 9,
        "one.image.delete": 21,
    }
    cloud = FakeCloud(answers | {f"one.{k.replace('_', '.')}": v for k, v in more.items()})
    return cloud, command(line, cloud)


def test_a_saved_machine_is_a_template_with_its_disks_as_they_are() -> None:
    cloud, outcome = _save("onevm save 7 copy")
    assert outcome == Outcome(0, "ID: 9\n", "")
    assert ("one.template.clone", (3, "copy")) in cloud.calls
    assert ("one.vm.disksaveas", (7, 0, "copy-disk-0", "", -1)) in cloud.calls
    method, arguments = cloud.calls[-1]
    assert (method, arguments[0], arguments[2]) == ("one.template.update", 9, 1)
    assert Template.parse(str(arguments[1])) == Template.parse(
        """
        CPU="2" MEMORY="512" DISK=[IMAGE_ID="21", CACHE="none"]
        DISK=[SIZE="100", TYPE="fs", FORMAT="raw"] DISK=[IMAGE_ID="5"]
        NIC=[NETWORK="private", MODEL="virtio"]
        """
    )


def test_saved_images_can_be_persistent() -> None:
    cloud, _ = _save("onevm save 7 copy --persistent")
    assert ("one.image.persistent", (21, True)) in cloud.calls


def test_only_a_machine_that_is_off_is_saved() -> None:
    running = _OFF.replace("<STATE>8<", "<STATE>3<").replace("<LCM_STATE>0<", "<LCM_STATE>3<")
    cloud, outcome = _save("onevm save 7 copy", vm_info=running)
    assert outcome.err == "VM state must be POWEROFF, current state is RUNNING\n"
    assert [c.method for c in cloud.calls] == ["one.vm.info"]


def test_a_machine_without_a_template_is_not_saved() -> None:
    cloud, outcome = _save("onevm save 7 copy", vm_info=_OFF.replace("TEMPLATE_ID>", "OTHER>"))
    assert outcome.err == "VM 7 has no template to be saved\n"
    assert len(cloud.calls) == 1


@pytest.mark.parametrize("method", ["vm_disksaveas", "template_update"])
def test_a_save_that_fails_leaves_nothing_behind(method: str) -> None:
    cloud, outcome = _save("onevm save 7 copy", **{method: OneError(2048, "[x] no.")})
    assert (outcome.code, outcome.err) == (255, "[x] no.\n")
    assert ("one.template.delete", (9,)) in cloud.calls
    assert (("one.image.delete", (21,)) in cloud.calls) == (method == "template_update")


def test_the_next_disk_waits_until_the_machine_is_off_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("merope.cli.vm_save.time.sleep", slept.append)
    saving = _OFF.replace("<STATE>8<", "<STATE>3<").replace(
        "<LCM_STATE>0<", f"<LCM_STATE>{LcmState.HOTPLUG_SAVEAS_POWEROFF.value}<"
    )
    looks = iter([_OFF, saving, saving, _OFF])
    _, outcome = _save("onevm save 7 copy", vm_info=lambda *_: next(looks))
    assert outcome.code == 0
    assert slept == [0.2, 0.4]


def test_a_state_is_named_as_a_person_sees_it() -> None:
    assert state_of(parse_document(_vm(VmState.ACTIVE, LcmState.BOOT))) == "BOOT"
    assert state_of(parse_document(_vm(VmState.POWEROFF))) == "POWEROFF"
