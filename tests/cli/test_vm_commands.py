"""onevm and onetemplate: what is sent for what is typed."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.recorded import Answer, Call, FakeCloud, Outcome, Screen, command, recorded

from merope.cli.errors import UsageError
from merope.cli.schedule import epoch
from merope.cli.user_inputs import Question
from merope.cli.vm_options import network, resource
from merope.model.template import Template, Vector

_METHODS = """
    deploy migrate recover resize rename chown chmod lock unlock attach attachnic detach update updateconf
    diskresize disksaveas snapshotcreate snapshotrevert disksnapshotcreate disksnapshotrename
"""


def _sent(
    line: str | list[str], answers: dict[object, Answer] | None = None, screen: Screen | None = None
) -> Call:
    """The last call of a command line that succeeds."""
    defaults: dict[object, Answer] = {
        "one.vm.allocate": 7, "one.template.allocate": 7, "one.template.instantiate": 7,
        "one.vm.info": "<VM><ID>0</ID></VM>", "one.template.info": "<VMTEMPLATE><TEMPLATE/></VMTEMPLATE>",
    }  # fmt: skip
    cloud = FakeCloud({**defaults, **(answers or {})})
    for method in _METHODS.split():
        cloud.answers.setdefault(f"one.vm.{method}", 0)
    outcome = command(line, cloud, screen)
    assert (outcome.err, outcome.code) == ("", 0)
    return cloud.calls[-1]


def _dry(*words: str, screen: Screen | None = None) -> Template:
    outcome = command(["onevm", "create", "--dry", *words], FakeCloud(), screen)
    assert (outcome.err, outcome.code) == ("", 0)
    return Template.parse(outcome.out)


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("onevm deploy 0 1", ("one.vm.deploy", (0, 1, False, -1, ""))),
        ("onevm deploy 0 1 100 -e", ("one.vm.deploy", (0, 1, True, 100, ""))),
        ("onevm migrate 0 1", ("one.vm.migrate", (0, 1, False, False, -1, 0))),
        ("onevm migrate 0 1 --live", ("one.vm.migrate", (0, 1, True, False, -1, 0))),
        ("onevm migrate 0 1 2 --poff", ("one.vm.migrate", (0, 1, False, False, 2, 1))),
        ("onevm migrate 0 1 --poff-hard", ("one.vm.migrate", (0, 1, False, False, -1, 2))),
        ("onevm recover 0 --failure", ("one.vm.recover", (0, 0))),
        ("onevm recover 0 --success", ("one.vm.recover", (0, 1))),
        ("onevm recover 0 --delete-db", ("one.vm.recover", (0, 5))),
        ("onevm resize 0 --memory 2G --vcpu 2", ("one.vm.resize", (0, 'MEMORY="2048"\nVCPU="2"\n', False))),
        ("onevm chown 0 3", ("one.vm.chown", (0, 3, -1))),
        ("onevm chown 0 3 100", ("one.vm.chown", (0, 3, 100))),
        ("onevm chgrp 0 100", ("one.vm.chown", (0, -1, 100))),
        ("onevm chmod 0 640", ("one.vm.chmod", (0, 1, 1, 0, 1, 0, 0, 0, 0, 0))),
        ("onevm lock 0", ("one.vm.lock", (0, 1))),
        ("onevm lock 0 --admin", ("one.vm.lock", (0, 3))),
        ("onevm unlock 0", ("one.vm.unlock", (0,))),
        ("onevm disk-detach 0 2", ("one.vm.detach", (0, 2))),
        ("onevm disk-resize 0 1 10G", ("one.vm.diskresize", (0, 1, "10240"))),
        ("onevm disk-saveas 0 1 copy", ("one.vm.disksaveas", (0, 1, "copy", "", -1))),
        ("onevm disk-saveas 0 1 copy -t OS -s 3", ("one.vm.disksaveas", (0, 1, "copy", "OS", 3))),
        ("onevm snapshot-create 0", ("one.vm.snapshotcreate", (0, ""))),
        ("onevm snapshot-create 0 before", ("one.vm.snapshotcreate", (0, "before"))),
        ("onevm snapshot-revert 0 4", ("one.vm.snapshotrevert", (0, 4))),
        ("onevm disk-snapshot-create 0 1 clean", ("one.vm.disksnapshotcreate", (0, 1, "clean"))),
        ("onevm disk-snapshot-rename 0 1 2 new", ("one.vm.disksnapshotrename", (0, 1, 2, "new"))),
    ],
)  # fmt: skip
def test_a_command_is_one_call(line: str, call: tuple[str, tuple[object, ...]]) -> None:
    assert _sent(line) == call


def test_creation_prints_the_id() -> None:
    cloud = FakeCloud({"one.vm.allocate": 2})
    outcome = command("onevm create --name y --cpu 1 --memory 10 --hold", cloud)
    assert outcome == Outcome(0, "ID: 2\n", "")
    assert cloud.calls == [("one.vm.allocate", ('CPU="1"\nMEMORY="10"\nNAME="y"\n', True))]


def test_several_machines_are_numbered_in_their_names() -> None:
    cloud = FakeCloud({"one.vm.allocate": 2})
    command("onevm create --name w-%i --multiple 3 --memory 1", cloud)
    names = [Template.parse(str(c.arguments[0])).get("NAME") for c in cloud.calls]
    assert names == ["w-0", "w-1", "w-2"]


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    text = "# mine\nCPU = 1\nMEMORY=64\n"
    (tmp_path / "t").write_text(text)
    assert _sent(f"onevm create {tmp_path / 't'}") == ("one.vm.allocate", (text, False))


def test_a_dash_reads_standard_input() -> None:
    assert _sent("onevm create -", screen=Screen(stdin="CPU=1\n")) == ("one.vm.allocate", ("CPU=1\n", False))


def test_options_are_laid_over_a_file() -> None:
    screen = Screen(stdin='CPU=1\nMEMORY=64\nDISK=[IMAGE="a"]\n')
    text = _sent("onevm create - --memory 1G", screen=screen).arguments[0]
    assert Template.parse(str(text)) == Template.parse('CPU=1\nMEMORY=1024\nDISK=[IMAGE="a"]')


def test_a_template_of_options_has_every_part() -> None:
    template = _dry(
        "--name", "web", "--cpu", "0.5", "--vcpu", "2", "--memory", "1G", "--arch", "x86_64",
        "--boot", "disk0",
        "--disk", "debian,3,ann[data]:SIZE=1000:READONLY=YES", "--nic", "private,1,auto:MODEL=virtio",
        "--raw", 'SCHED_RANK="FREE_CPU"', "--vnc", "--spice-password", "x", "--net_context",
        "--context", 'A=1,B="2 3"', "--files_ds", "init.sh,9", "--init", "a.sh,b.sh", "--report_ready",
        "--as_uid", "3", "--as_gid", "100",
    )  # fmt: skip
    assert template == Template.parse(
        """
        NAME="web" CPU="0.5" VCPU="2" MEMORY="1024" AS_UID="3" AS_GID="100" SCHED_RANK="FREE_CPU"
        OS=[ARCH="x86_64", BOOT="disk0"]
        DISK=[IMAGE="debian"] DISK=[IMAGE_ID="3"]
        DISK=[IMAGE="data", IMAGE_UNAME="ann", SIZE="1000", READONLY="YES"]
        NIC=[NETWORK="private"] NIC=[NETWORK_ID="1"] NIC=[NETWORK_MODE="auto", MODEL="virtio"]
        GRAPHICS=[TYPE="vnc", LISTEN="0.0.0.0"] GRAPHICS=[TYPE="spice", LISTEN="0.0.0.0", PASSWD="x"]
        CONTEXT=[A="1", B="2 3", NETWORK="YES", INIT_SCRIPTS="a.sh b.sh", REPORT_READY="YES", TOKEN="YES",
                 FILES_DS="$FILE[IMAGE=\\"init.sh\\"] $FILE[IMAGE_ID=9]"]
        """
    )


def test_keys_and_scripts_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ssh-ed25519 AAAA me\n")
    (tmp_path / "run").write_text('#!/bin/sh\necho "hi"\n')
    context = _dry("--ssh", str(tmp_path / "key"), "--startscript", str(tmp_path / "run")).vector("CONTEXT")
    assert context == {"SSH_PUBLIC_KEY": "ssh-ed25519 AAAA me", "START_SCRIPT": '#!/bin/sh\necho "hi"\n'}


def test_without_a_file_the_key_is_the_users() -> None:
    assert _dry("--ssh").vector("CONTEXT") == {"SSH_PUBLIC_KEY": "$USER[SSH_PUBLIC_KEY]"}


_plain = st.text(st.characters(categories=["L", "N"]), min_size=1)


@given(_plain, _plain, _plain)
def test_a_resource_keeps_owner_name_and_attributes(owner: str, name: str, value: str) -> None:
    expected = Vector({"IMAGE": name, "IMAGE_UNAME": owner, "SIZE": value})
    assert resource(f"{owner}[{name}]:SIZE={value}", "IMAGE", "--disk") == expected


@given(st.text(min_size=1))
def test_no_text_crashes_the_reader_of_resources(text: str) -> None:
    try:
        vector = network(text)
    except UsageError:
        return
    assert vector


_value = st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="\\,]>"), min_size=1)


@given(_value, _value)
def test_what_is_rendered_is_read_back_by_the_template_language(name: str, value: str) -> None:
    text = _dry(f"--name={name}", f"--context=KEY={value}")
    vector = text.vector("CONTEXT")
    assert vector is not None
    assert text.get("NAME") == name
    assert vector["KEY"] in (value.strip(), value.strip()[1:-1])


@pytest.mark.parametrize("disk", ["a[b", "[x]", "x:SIZE", "x:=1", "a[b]c", ":"])
def test_what_is_no_resource_is_refused(disk: str) -> None:
    outcome = command(["onevm", "create", "--dry", "--disk", disk], FakeCloud())
    assert outcome.code == 255
    assert outcome.err.startswith("--disk: ")


def test_disks_and_interfaces_are_attached_by_options() -> None:
    line = "onevm disk-attach 0 -i data -t sdb --cache none --prefix sd"
    template = Template.parse(str(_sent(line).arguments[1]))
    assert template.vectors("DISK") == [
        {"IMAGE": "data", "TARGET": "sdb", "CACHE": "none", "DEV_PREFIX": "sd"}
    ]
    template = Template.parse(str(_sent("onevm nic-attach 0 -n 3 --ip 10.0.0.5").arguments[1]))
    assert template.vectors("NIC") == [{"NETWORK_ID": "3", "IP": "10.0.0.5"}]
    template = Template.parse(str(_sent("onevm nic-attach 0 -n 3 -a NIC0").arguments[1]))
    assert template.vectors("NIC_ALIAS") == [{"NETWORK_ID": "3", "PARENT": "NIC0"}]


# --- $EDITOR ---


def test_update_edits_the_user_template() -> None:
    vm = "<VM><ID>0</ID><USER_TEMPLATE><A><![CDATA[1]]></A></USER_TEMPLATE></VM>"
    screen = Screen(editor=lambda text: text.replace("1", "2"))
    call = _sent("onevm update 0", {"one.vm.info": vm}, screen)
    assert screen.edited == ['A="1"\n']
    assert call == ("one.vm.update", (0, 'A="2"\n', 0))


def test_an_unchanged_template_is_not_sent() -> None:
    screen = Screen(editor=lambda text: text)
    assert _sent("onevm update 0", screen=screen).method == "one.vm.info"


def test_append_starts_with_nothing_and_adds() -> None:
    screen = Screen(editor=lambda _: "B=2\n")
    assert _sent("onevm update 0 --append", screen=screen) == ("one.vm.update", (0, "B=2\n", 1))
    assert screen.edited == [""]


def test_updateconf_offers_the_configuration_only() -> None:
    vm = "<VM><TEMPLATE><CPU>1</CPU><OS><BOOT>disk0</BOOT></OS><DISK><SIZE>1</SIZE></DISK></TEMPLATE></VM>"
    screen = Screen(editor=lambda text: text + 'RAW=[TYPE="kvm"]\n')
    call = _sent("onevm updateconf 0", {"one.vm.info": vm}, screen)
    assert screen.edited == ['OS=[\n  BOOT="disk0" ]\n']
    assert call.method == "one.vm.updateconf"


# --- scheduled actions ---


def test_a_scheduled_action_is_added_to_the_others() -> None:
    vm = (
        "<VM><ID>0</ID><USER_TEMPLATE><A>1</A><SCHED_ACTION><ID>3</ID><ACTION>hold</ACTION><TIME>1</TIME>"
        "</SCHED_ACTION></USER_TEMPLATE></VM>"
    )
    call = _sent("onevm poweroff 0 --hard --schedule 2000000000 --weekly 1,5 --end 4", {"one.vm.info": vm})
    assert (call.method, call.arguments[0], call.arguments[2]) == ("one.vm.update", 0, 1)
    assert Template.parse(str(call.arguments[1])) == Template.parse(
        """SCHED_ACTION=[ID="3", ACTION="hold", TIME="1"]
        SCHED_ACTION=[ID="4", ACTION="poweroff-hard", TIME="2000000000", REPEAT="0", DAYS="1,5",
                      END_TYPE="1", END_VALUE="4"]"""
    )


def test_a_scheduled_snapshot_carries_its_arguments() -> None:
    call = _sent("onevm disk-snapshot-create 0 1 nightly --schedule +3600 --hourly 24")
    action = Template.parse(str(call.arguments[1])).vector("SCHED_ACTION")
    assert action == {
        "ID": "0", "ACTION": "disk-snapshot-create", "ARGS": "1,nightly", "TIME": "+3600", "REPEAT": "3",
        "DAYS": "24", "END_TYPE": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        "--weekly 1", "--schedule soon", "--schedule 2000000000 --weekly 7", "--schedule 2000000000 --end 3",
        "--schedule 2000000000 --weekly 1 --monthly 1", "--schedule 2000000000 --monthly 0",
    ],
)  # fmt: skip
def test_a_schedule_that_makes_no_sense_is_refused(options: str) -> None:
    cloud = FakeCloud()
    assert command(f"onevm stop 0 {options}", cloud).code == 255
    assert not cloud.calls


def test_a_time_may_lack_the_year() -> None:
    import time

    june = int(time.mktime((2027, 6, 1, 0, 0, 0, 0, 0, -1)))
    assert time.localtime(epoch("09/23 14:15", june))[:5] == (2027, 9, 23, 14, 15)
    assert epoch("2000000000") == 2000000000


# --- templates ---


def test_instantiate_sends_name_hold_and_what_the_options_say() -> None:
    call = _sent("onetemplate instantiate 0 --name a --hold --memory 1G")
    assert call == ("one.template.instantiate", (0, "a", True, 'MEMORY="1024"\n', False))


def test_instantiate_several_numbers_them() -> None:
    cloud = FakeCloud(
        {"one.template.instantiate": 7, "one.template.info": "<VMTEMPLATE><TEMPLATE/></VMTEMPLATE>"}
    )
    outcome = command("onetemplate instantiate 0 --name w%i -m 2", cloud)
    assert outcome.out == "VM ID: 7\nVM ID: 7\n"
    assert [c.arguments[1] for c in cloud.calls[1:]] == ["w0", "w1"]


def test_a_template_that_asks_gets_its_answers_from_the_option() -> None:
    answers: dict[object, Answer] = {"one.template.info": recorded("template")}
    call = _sent("onetemplate instantiate 0 --user-inputs SIZE=5", answers)
    assert call.arguments[3] == 'SIZE="5"\n'


def test_a_template_that_asks_gets_its_answers_from_the_person() -> None:
    cloud = FakeCloud({"one.template.info": recorded("template"), "one.template.instantiate": 1})
    outcome = command("onetemplate instantiate 0", cloud, Screen(stdin="7\n", interactive=True))
    assert "  * (SIZE) how big\n" in outcome.out
    assert cloud.calls[-1].arguments[3] == 'SIZE="7"\n'


def test_a_template_that_asks_takes_its_defaults_when_nobody_is_there() -> None:
    answers: dict[object, Answer] = {"one.template.info": recorded("template")}
    assert _sent("onetemplate instantiate 0", answers).arguments[3] == 'SIZE="2"\n'


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("M|number|n| |", "x"), ("M|number|n| |", ""), ("O|range|n|1..5|", "6"),
        ("O|range-float|n|0.5..1|", "2"),
        ("O|list|n|a,b|", "c"), ("O|list-multiple|n|a,b|", "a,c"), ("O|boolean|n| |", "maybe"),
    ],
)  # fmt: skip
def test_an_answer_of_the_wrong_kind_is_refused(form: str, answer: str) -> None:
    with pytest.raises(UsageError, match="X"):
        Question.parse("X", form).check(answer)


@pytest.mark.parametrize(
    ("form", "answer", "value"),
    [
        ("M|number|n| |", "5", "5"), ("O|range|n|1..5|", "5", "5"), ("O|boolean|n| |", "yes", "YES"),
        ("O|list-multiple|n|a,b|", "a,b", "a,b"), ("O|text64|n| |", "hi", "aGk="), ("O|text|n| |", "", ""),
    ],
)  # fmt: skip
def test_an_answer_of_the_right_kind_is_taken(form: str, answer: str, value: str) -> None:
    assert Question.parse("X", form).check(answer) == value


def test_deleting_templates_may_take_their_images_along() -> None:
    cloud = FakeCloud({"one.template.delete": 0})
    assert command("onetemplate delete 0,1 --recursive", cloud).code == 0
    assert cloud.calls == [("one.template.delete", (0, True)), ("one.template.delete", (1, True))]


# --- show ---


def test_show_says_why_a_machine_waits() -> None:
    vm = (
        "<VM><ID>4</ID><NAME>x</NAME><STATE>1</STATE><LCM_STATE>0</LCM_STATE><TEMPLATE/><USER_TEMPLATE>"
        "<SCHED_MESSAGE>Sat Nov 21 : 2 hosts lack memory</SCHED_MESSAGE></USER_TEMPLATE></VM>"
    )
    lines = command("onevm show 4", FakeCloud({"one.vm.info": vm})).out.splitlines()
    assert lines.index("WAITING             : Sat Nov 21 : 2 hosts lack memory") < 10


def test_show_says_nothing_of_waiting_once_it_runs() -> None:
    vm = (
        "<VM><ID>4</ID><STATE>3</STATE><LCM_STATE>3</LCM_STATE><USER_TEMPLATE>"
        "<SCHED_MESSAGE>old</SCHED_MESSAGE></USER_TEMPLATE></VM>"
    )
    assert "WAITING" not in command("onevm show 4", FakeCloud({"one.vm.info": vm})).out


def test_show_all_has_what_the_tables_have() -> None:
    cloud = FakeCloud({"one.vm.info": recorded("vm-running"), "one.cluster.info": recorded("cluster")})
    assert "DISK=[" not in command("onevm show 0", cloud).out
    assert "DISK=[" in command("onevm show 0 --all", cloud).out


def test_show_works_for_a_user_who_may_not_see_the_cluster() -> None:
    cloud = FakeCloud({"one.vm.info": recorded("vm-running")})
    outcome = command("onevm show 0", cloud)
    assert outcome.code == 0
    assert "CLUSTER             : -" in outcome.out


@pytest.mark.parametrize("name", ["vm-done", "vm-held", "vm-locked"])
def test_every_recorded_machine_can_be_shown(name: str) -> None:
    cloud = FakeCloud({"one.vm.info": recorded(name), "one.cluster.info": recorded("cluster")})
    outcome = command("onevm show 0", cloud)
    assert (outcome.code, outcome.err) == (0, "")


# --- tm-debug ---


@pytest.mark.parametrize(("option", "passed"), [("", []), (" --steps", ["--list"])])
def test_tm_debug_hands_over_to_the_front_ends_own_program(
    option: str, passed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "one"
    program.write_text(f'#!/bin/sh\necho "$@" >"{tmp_path}/words"\nexit 3\n')
    program.chmod(0o700)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "onevm")])
    assert command(f"onevm tm-debug 4{option}", FakeCloud()).code == 3
    assert (tmp_path / "words").read_text().split() == ["tm-debug", "4", *passed]


def test_tm_debug_says_that_it_is_for_the_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/nowhere/onevm"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert "is for the front-end" in command("onevm tm-debug 4", FakeCloud()).err


# --- explain ---

WAITING = (
    "<VM><ID>4</ID><NAME>x</NAME><STATE>1</STATE><LCM_STATE>0</LCM_STATE><USER_TEMPLATE>"
    "<SCHED_MESSAGE>Sat Nov 21 : No host. 2 hosts lack memory</SCHED_MESSAGE>"
    "<SCHED_REASON><REASON>NO_CAPACITY</REASON><TEXT>No host</TEXT></SCHED_REASON>"
    "<SCHED_REASON><REASON>HOST_MEMORY</REASON><COUNT>2</COUNT>"
    "<TEXT>2 hosts lack memory</TEXT></SCHED_REASON>"
    "</USER_TEMPLATE></VM>"
)


def test_explain_lists_what_excluded_hosts() -> None:
    outcome = command("onevm explain 4", FakeCloud({"one.vm.info": WAITING}))
    assert outcome.out.splitlines() == [
        "VM 4 (x) waits for a host (Sat Nov 21):",
        "No host",
        "  - 2 hosts lack memory",
    ]


def test_explain_has_numbers_for_programs() -> None:
    told = json.loads(command("onevm explain 4 --json", FakeCloud({"one.vm.info": WAITING})).out)["VM"]
    assert told["WAITS"] == "YES"
    assert told["SCHED_REASON"][1] == {"REASON": "HOST_MEMORY", "COUNT": "2", "TEXT": "2 hosts lack memory"}


def test_explain_says_that_a_running_machine_does_not_wait() -> None:
    running = WAITING.replace("<STATE>1</STATE><LCM_STATE>0", "<STATE>3</STATE><LCM_STATE>3")
    outcome = command("onevm explain 4", FakeCloud({"one.vm.info": running}))
    assert outcome.out == "VM 4 (x) does not wait for a host: its state is RUNNING.\n"


def test_show_leaves_the_reasons_to_explain() -> None:
    cloud = FakeCloud({"one.vm.info": WAITING})
    assert "SCHED_REASON" not in command("onevm show 4", cloud).out
    assert "SCHED_REASON" in command("onevm show 4 --all", cloud).out
