"""The command line: arguments, options, messages, exit codes, formats of lists."""

import json

import pytest
from tests.cli.recorded import FakeCloud, Screen, command

from merope.client import ConnectionFailed, OneError

VMS = (
    "<VM_POOL>"
    "<VM><ID>1</ID><UID>3</UID><GID>1</GID><UNAME>ann</UNAME><GNAME>users</GNAME><NAME>web</NAME><STATE>3</STATE>"
    "<LCM_STATE>3</LCM_STATE><STIME>1</STIME><ETIME>61</ETIME><TEMPLATE><CPU>2</CPU><MEMORY>512</MEMORY></TEMPLATE>"
    "<MONITORING><MEMORY>131072</MEMORY></MONITORING></VM>"
    "<VM><ID>0</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME><GNAME>oneadmin</GNAME><NAME>db</NAME>"
    "<STATE>1</STATE><LCM_STATE>0</LCM_STATE><STIME>1</STIME><ETIME>61</ETIME>"
    "<TEMPLATE><CPU>0.5</CPU><MEMORY>256</MEMORY></TEMPLATE><MONITORING/></VM>"
    "</VM_POOL>"
)


def _cloud() -> FakeCloud:
    return FakeCloud({"one.vmpool.info": VMS, "one.vm.action": 0})


def test_a_batch_goes_on_after_an_error_and_fails_in_the_end() -> None:
    def act(_: str, oid: int) -> int:
        if oid > 1:
            raise AssertionError("only 0 and 1 are there")
        return oid

    cloud = FakeCloud({"one.vm.action": act})
    for missing in (2, 3):
        message = f"[one.vm.action] Error getting virtual machine [{missing}]."
        cloud.answers["one.vm.action", "terminate", missing] = OneError(1024, message, missing)
    outcome = command("onevm terminate 0..3", cloud)
    assert outcome.code == 255
    assert outcome.out == ""
    assert outcome.err == (
        "[one.vm.action] Error getting virtual machine [2].\n"
        "[one.vm.action] Error getting virtual machine [3].\n"
    )
    assert [c.arguments[1] for c in cloud.calls] == [0, 1, 2, 3]


def test_an_unreachable_cloud_ends_a_batch_at_once() -> None:
    calls = []

    class Dead(FakeCloud):
        def send(self, body: bytes, repeatable: bool) -> bytes:
            calls.append(body)
            raise ConnectionFailed("http://x/RPC2", "cannot connect")

    outcome = command("onevm terminate 0..3", Dead())
    assert (outcome.code, outcome.err) == (255, "http://x/RPC2: cannot connect\n")
    assert len(calls) == 1


def test_a_name_is_looked_up() -> None:
    cloud = _cloud()
    assert command("onevm poweroff web,0 --hard", cloud).code == 0
    assert cloud.calls[1:] == [
        ("one.vm.action", ("poweroff-hard", 1)),
        ("one.vm.action", ("poweroff-hard", 0)),
    ]


def test_a_name_that_nothing_has_is_reported() -> None:
    outcome = command("onevm poweroff nosuch", _cloud())
    assert (outcome.code, outcome.err) == (255, "VM named nosuch not found.\n")


def test_a_name_that_several_have_asks_for_the_id() -> None:
    cloud = FakeCloud({"one.vmpool.info": VMS.replace(">db<", ">web<")})
    outcome = command("onevm poweroff web", cloud)
    assert (outcome.code, outcome.err) == (255, "There are several VMs named web (0, 1): use the id.\n")


def test_an_unknown_command_shows_those_that_there_are() -> None:
    outcome = command("onevm nosuchcommand", FakeCloud())
    assert outcome.code == 255
    assert outcome.err.startswith("Command 'nosuchcommand' not found\n## SYNOPSIS\n")
    assert "   poweroff " in outcome.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("onevm list --nosuch", "invalid option: --nosuch"),
        ("onevm list -Q", "invalid option: -Q"),
        ("onevm list --filt STAT=runn", "invalid option: --filt"),
        ("onevm list --list", "missing argument: --list"),
        ("onevm create --memory lots", "invalid argument: --memory lots: a size such as"),
        ("onevm show", "Command 'show' needs the argument <vmid>.\nUsage: onevm show [options] <vmid>"),
        ("onevm show 1 2", "Command 'show' takes no argument '2'.\nUsage:"),
        ("onevm chmod 0 abc", "octet: three octal digits are expected"),
        ("onevm --user ann list", "The command comes before the options"),
        ("onevm list --hold=1", "invalid option: --hold"),
        ("onevm terminate 0 --hard=yes", "needless argument: --hard=yes"),
        ("onevm recover 0", "Exactly one of --failure, --success"),
        ("onevm recover 0 --retry --delete", "Exactly one of"),
        ("onevm migrate 0 1 --live --poff", "Only one of --live"),
        ("onevm list -l ID,NOPE", "There is no column NOPE; there are ID, USER"),
        ("onevm list -f NOPE=1", "There is no column NOPE"),
        ("onevm resize 0", "At least one of --cpu"),
        ("onevm create", "A template file or options"),
        ("onevm create /nosuch/file", "/nosuch/file cannot be read: No such file or directory."),
        ("oneimage create --name x", "--datastore must be given"),
        ("onehost create node1", "--im and --vm must be given"),
        ("onevm disk-attach 0", "--image or --file must be given"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong_and_sends_nothing(line: str, message: str) -> None:
    cloud = FakeCloud({"one.vmpool.info": VMS})
    outcome = command(line, cloud)
    assert outcome.code == 255
    assert outcome.out == ""
    assert outcome.err.startswith(message)
    assert all(c.method == "one.vmpool.info" for c in cloud.calls)


def test_options_may_stand_anywhere_and_be_joined() -> None:
    expected = command("onevm list --list ID,NAME --no-header", _cloud()).out
    assert expected == "   1 web\n   0 db\n"
    for line in ("onevm list --no-header -lID,NAME", "onevm list --list=ID,NAME --no-header a"):
        assert command(line, _cloud()).out == expected


def test_after_two_dashes_everything_is_an_argument() -> None:
    cloud = FakeCloud({"one.vm.rename": 0})
    assert command(["onevm", "rename", "0", "--", "--strange"], cloud).code == 0
    assert cloud.calls == [("one.vm.rename", (0, "--strange"))]


def test_the_version_names_both() -> None:
    for line in ("onevm --version", "onevm list -V", "oneacct --version"):
        assert "OpenNebula 5.12" in command(line, FakeCloud()).out


@pytest.mark.parametrize(
    ("word", "flag"),
    [("", -2), ("a", -2), ("m", -3), ("mine", -3), ("g", -1), ("G", -4), ("7", 7), ("ann", 3)],
)
def test_a_list_can_be_of_somebodys_objects(word: str, flag: int) -> None:
    cloud = _cloud()
    cloud.answers["one.userpool.info"] = "<USER_POOL><USER><ID>3</ID><NAME>ann</NAME></USER></USER_POOL>"
    assert command(f"onevm list {word}", cloud).code == 0
    assert cloud.calls[-1].arguments == (flag, -1, -1, -1)


def test_a_running_machine_shows_what_it_uses_another_what_it_wants() -> None:
    assert command("onevm list -l NAME,MEM --csv --no-header", _cloud()).out == "web,128M\ndb,256M\n"


def test_a_list_can_be_filtered_by_columns_that_are_not_shown() -> None:
    line = "onevm list -l NAME --csv --no-header -f"
    assert command(f"{line} STAT=runn,CPU>1", _cloud()).out == "web\n"
    assert command(f"{line} STAT=pend,CPU>1", _cloud()).out == ""
    assert command(f"{line} STAT=pend,CPU>1 --operator or", _cloud()).out == "web\ndb\n"


def test_numeric_shows_ids_of_users_and_groups() -> None:
    assert command("onevm list -n -l USER,GROUP --csv --no-header", _cloud()).out == "3,1\n0,0\n"


def test_sizes_and_adjustment_change_widths() -> None:
    out = command("onevm list -l NAME,USER --size NAME=2 --adjust USER", _cloud()).out
    assert out.splitlines()[1:] == ["we ann", "db oneadmin"]


def test_a_list_fills_the_terminal_unless_it_must_not() -> None:
    wide = command("onevm list", _cloud(), Screen(width=100)).out
    assert len(wide.splitlines()[0]) == 100
    narrow = command("onevm list --no-expand", _cloud(), Screen(width=100)).out
    assert len(narrow.splitlines()[0]) < 100
    assert command("onevm list --no-expand", _cloud()).out == narrow


def test_expand_fills_eighty_columns_when_there_is_no_terminal() -> None:
    out = command("onevm list --expand NAME", _cloud()).out
    assert len(out.splitlines()[0]) == 80


@pytest.mark.parametrize("tool", ["onevm", "onehost", "oneuser", "oneacl", "onezone"])
def test_every_list_has_json_even_where_5_12_refuses_it(tool: str) -> None:
    method = {"oneacl": "one.acl.info"}.get(tool, f"one.{tool[3:]}pool.info")
    root = f"{tool[3:].upper()}_POOL"
    outcome = command(f"{tool} list -j", FakeCloud({method: f"<{root}/>"}))
    assert json.loads(outcome.out) == {root: {tool[3:].upper(): []}}


def test_xml_and_yaml_print_the_document() -> None:
    assert command("onevm list -x", _cloud()).out.startswith("<VM_POOL>\n  <VM>\n    <ID>1</ID>\n")
    assert command("onevm list -y", _cloud()).out.startswith("VM_POOL:\n  VM:\n  - ID: '1'\n")


def test_describe_explains_the_columns() -> None:
    out = command("onevm list --describe", FakeCloud()).out
    assert "MEM                  the memory" in out


def test_a_refused_session_is_reported_as_it_came() -> None:
    message = "[one.vmpool.info] User couldn't be authenticated, aborting call."
    cloud = FakeCloud({"one.vmpool.info": OneError(256, message)})
    outcome = command("onevm list --user ann --password bad", cloud)
    assert (outcome.code, outcome.err) == (255, message + "\n")
    assert cloud.sessions == ["ann:bad"]


def test_a_user_without_a_password_is_asked_for_it() -> None:
    cloud = _cloud()
    assert command("onevm list --user ann", cloud, Screen(interactive=True, keys=("typed",))).code == 0
    assert cloud.sessions == ["ann:typed"]


def test_without_a_person_there_is_nobody_to_ask() -> None:
    outcome = command("onevm list --user ann", _cloud())
    assert outcome.code == 255
    assert "nobody sits at a terminal" in outcome.err


def test_top_repeats_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("merope.cli.listing.time.sleep", sleep)
    cloud = _cloud()
    with pytest.raises(KeyboardInterrupt):
        command("onevm top -d 3", cloud)
    assert slept == [3.0, 3.0]
    assert len(cloud.calls) == 2


def test_verbose_says_what_is_done() -> None:
    assert command("onevm reboot 0 -v", _cloud()).out == "VM 0: reboot\n"


def test_a_name_cannot_play_with_the_terminal() -> None:
    cloud = FakeCloud({"one.vmpool.info": VMS.replace(">web<", ">\u202ew\u009bb<")})
    assert command("onevm list -l NAME --no-header", cloud).out.splitlines()[0] == "?w?b"


def test_a_broken_answer_is_a_sentence_not_a_trace() -> None:
    class Broken(FakeCloud):
        def send(self, body: bytes, repeatable: bool) -> bytes:
            return b"<html>proxy</html>"

    outcome = command("onevm list", Broken())
    assert outcome.code == 255
    assert outcome.err.startswith("The answer is not an XML-RPC response")
