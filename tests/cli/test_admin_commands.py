"""Users, groups, rules, quotas, hosts, clusters, images, networks, zones, accounting."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from tests.cli.recorded import Answer, Call, FakeCloud, Outcome, Screen, command, recorded

from merope.client import OneError
from merope.model.template import Template

SECRET = "wonderful secret"


def _run(
    line: str | list[str], answers: dict[object, Answer], screen: Screen | None = None
) -> tuple[Outcome, list[Call]]:
    cloud = FakeCloud(answers)
    return command(line, cloud, screen), cloud.calls


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("onecluster create edge", ("one.cluster.allocate", ("edge",))),
        ("onecluster addhost 100 1", ("one.cluster.addhost", (100, 1))),
        ("onecluster delvnet 100 2", ("one.cluster.delvnet", (100, 2))),
        ("onedatastore disable 0", ("one.datastore.enable", (0, False))),
        ("oneimage persistent 0", ("one.image.persistent", (0, True))),
        ("oneimage nonpersistent 0", ("one.image.persistent", (0, False))),
        ("oneimage disable 0", ("one.image.enable", (0, False))),
        ("oneimage chtype 0 cdrom", ("one.image.chtype", (0, "CDROM"))),
        ("oneimage clone 0 copy", ("one.image.clone", (0, "copy", -1))),
        ("oneimage clone 0 copy -d 100", ("one.image.clone", (0, "copy", 100))),
        ("oneimage snapshot-flatten 0 2", ("one.image.snapshotflatten", (0, 2))),
        ("onehost disable 0", ("one.host.status", (0, 1))),
        ("onehost offline 0", ("one.host.status", (0, 2))),
        ("onehost recover 0 --migrate", ("one.host.recover", (0, "migrate", False, 0, True))),
        (
            "onehost recover 0 --delete --force --cycles 3 --no-fencing",
            ("one.host.recover", (0, "delete", True, 3, False)),
        ),
        ("onehost recover 0 --confirm", ("one.host.recover", (0, "confirm", False, 0, True))),
        ("onehost create n1 -i kvm -v kvm", ("one.host.allocate", ("n1", "kvm", "kvm", -1))),
        ("onehost create n1 -i kvm -v qemu -c 100", ("one.host.allocate", ("n1", "kvm", "qemu", 100))),
        ("onevnet rmar 0 1", ("one.vn.rm_ar", (0, 1, False))),
        ("onevnet rmar 0 1 --force", ("one.vn.rm_ar", (0, 1, True))),
        ("onevnet free 0 1", ("one.vn.free_ar", (0, 1, False))),
        ("onevnet hold 0 10.0.0.1", ("one.vn.hold", (0, 'LEASES=[\n  IP="10.0.0.1" ]\n'))),
        (
            "onevnet release 0 02:00:0a:00:00:01",
            ("one.vn.release", (0, 'LEASES=[\n  MAC="02:00:0a:00:00:01" ]\n')),
        ),
        ("onevnet hold 0 2001:db8::1", ("one.vn.hold", (0, 'LEASES=[\n  IP6="2001:db8::1" ]\n'))),
        ("onevnet reserve 0 -n mine -s 5", ("one.vn.reserve", (0, 'NAME="mine"\nSIZE="5"\n'))),
        (
            "onevnet reserve 0 7 -s 5 -6 2001:db8::1",
            ("one.vn.reserve", (0, 'IP6="2001:db8::1"\nNETWORK_ID="7"\nSIZE="5"\n')),
        ),
        ("onesecgroup commit 100 --recover", ("one.secgroup.commit", (100, True))),
        ("onetemplate clone 0 copy --recursive", ("one.template.clone", (0, "copy", True))),
        ("onetemplate chmod 0 600 --recursive", ("one.template.chmod", (0, 1, 1, 0, 0, 0, 0, 0, 0, 0, True))),
        ("oneuser chgrp 3 100", ("one.user.chgrp", (3, 100))),
        ("oneuser addgroup 3 100", ("one.user.addgroup", (3, 100))),
        ("oneuser chauth 3 public", ("one.user.chauth", (3, "public", ""))),
        ("oneuser umask 3 137", ("one.user.update", (3, 'UMASK="137"\n', 1))),
        ("oneuser token-delete-all ann", ("one.user.login", ("ann", "", 0, -1))),
        ("onegroup addadmin 100 3", ("one.group.addadmin", (100, 3))),
        ("onezone server-del 0 1", ("one.zone.delserver", (0, 1))),
        ("oneacl delete 5", ("one.acl.delrule", (5,))),
    ],
)  # fmt: skip
def test_a_command_is_one_call(line: str, call: tuple[str, tuple[object, ...]]) -> None:
    outcome, calls = _run(line, {call[0]: 0})
    assert (outcome.code, outcome.err) == (0, "")
    assert calls == [call]


# --- passwords ---


def test_a_password_is_read_from_standard_input() -> None:
    screen = Screen(stdin=f"{SECRET}\nmore\n")
    _, calls = _run("oneuser create ann --stdin", {"one.user.allocate": 3}, screen)
    assert calls == [("one.user.allocate", ("ann", SECRET, "core"))]


def test_a_password_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(SECRET + "\n")
    _, calls = _run(f"oneuser passwd 3 {tmp_path / 'p'} --read-file", {"one.user.passwd": 3})
    assert calls == [("one.user.passwd", (3, SECRET))]


def test_a_password_is_asked_for_twice() -> None:
    answers: dict[object, Answer] = {"one.user.allocate": 3}
    _, calls = _run("oneuser create ann", answers, Screen(interactive=True, keys=(SECRET, SECRET)))
    assert calls[0].arguments[1] == SECRET
    outcome, calls = _run("oneuser create ann", answers, Screen(interactive=True, keys=(SECRET, "other")))
    assert (outcome.code, calls) == (255, [])


def test_a_digest_is_sent_where_the_driver_compares_digests() -> None:
    _, calls = _run("oneuser create ann abc --sha256 --driver x", {"one.user.allocate": 3})
    assert calls[0].arguments[1] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_user_of_several_groups_is_created_in_them() -> None:
    _, calls = _run("oneuser create ann x --group 100,1", {"one.user.allocate": 3})
    assert calls == [("one.user.allocate", ("ann", "x", "core", [100, 1]))]


def test_an_error_does_not_repeat_the_password() -> None:
    message = "[one.user.allocate] NAME is already taken by USER 2."
    outcome, _ = _run(["oneuser", "create", "ann", SECRET], {"one.user.allocate": OneError(16384, message)})
    assert outcome == Outcome(255, "", message + "\n")


def test_removing_the_umask_keeps_the_rest_of_the_template() -> None:
    user = "<USER><ID>3</ID><TEMPLATE><A>1</A><UMASK>137</UMASK></TEMPLATE></USER>"
    _, calls = _run("oneuser umask 3", {"one.user.info": user, "one.user.update": 3})
    assert calls[-1] == ("one.user.update", (3, 'A="1"\n', 0))


def test_encode_escapes_what_separates() -> None:
    assert _run(["oneuser", "encode", "a b", "p:w"], {})[0].out == "a%20b:p%3Aw\n"


# --- tokens ---


def test_login_keeps_the_token_for_the_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dir" / "auth"
    monkeypatch.setenv("ONE_AUTH", str(path))
    cloud = FakeCloud({"one.user.login": "t0ken"})
    screen = Screen(interactive=True, keys=(SECRET,))
    assert command("oneuser login ann --time 60", cloud, screen).code == 0
    assert cloud.calls == [("one.user.login", ("ann", "", 60, -1))]
    assert cloud.sessions == [f"ann:{SECRET}"]
    assert path.read_text() == "ann:t0ken\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("answer", "kept"), [("n\n", "old:secret\n"), ("y\n", "oneadmin:t0ken\n")])
def test_login_asks_before_it_overwrites(
    answer: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "auth"
    path.write_text("old:secret\n")
    monkeypatch.setenv("ONE_AUTH", str(path))
    screen = Screen(stdin=answer, interactive=True)
    command("oneuser login", FakeCloud({"one.user.login": "t0ken"}), screen)
    assert path.read_text() == kept


TOKENS = (
    "<USER><ID>3</ID><NAME>ann</NAME>"
    "<LOGIN_TOKEN><TOKEN>aa11</TOKEN><EXPIRATION_TIME>1</EXPIRATION_TIME><EGID>-1</EGID></LOGIN_TOKEN>"
    "<LOGIN_TOKEN><TOKEN>bb22</TOKEN><EXPIRATION_TIME>-1</EXPIRATION_TIME><EGID>100</EGID></LOGIN_TOKEN>"
    "<LOGIN_TOKEN><TOKEN>bb33</TOKEN><EXPIRATION_TIME>-1</EXPIRATION_TIME><EGID>-1</EGID></LOGIN_TOKEN></USER>"
)


def test_token_create_keeps_it_in_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    outcome, calls = _run("oneuser token-create --group 100", {"one.user.login": "0123456789abcdef"})
    path = tmp_path / ".one" / "01234567.token"
    assert calls == [("one.user.login", ("oneadmin", "", 36000, 100))]
    assert outcome.out == f"export ONE_AUTH={path}\n"
    assert path.read_text() == "oneadmin:0123456789abcdef\n"
    assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700


@pytest.mark.parametrize(
    ("options", "token"), [("--token bb", "bb22"), ("--group 100", "bb22"), ("--global", "bb33")]
)
def test_token_set_finds_a_valid_token(
    options: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    outcome, _ = _run(f"oneuser token-set {options}", {"one.user.info": TOKENS})
    assert outcome.code == 0
    assert (tmp_path / ".one" / f"{token}.token").read_text() == f"oneadmin:{token}\n"


def test_a_token_that_has_expired_is_not_set() -> None:
    outcome, _ = _run("oneuser token-set --token aa", {"one.user.info": TOKENS})
    assert outcome.code == 255


def test_token_delete_wants_one_token() -> None:
    answers: dict[object, Answer] = {"one.user.info": TOKENS, "one.user.login": ""}
    _, calls = _run("oneuser token-delete aa", answers)
    assert calls[-1] == ("one.user.login", ("oneadmin", "aa11", 0, -1))
    outcome, calls = _run("oneuser token-delete bb", answers)
    assert outcome.err == "oneadmin has several tokens beginning with 'bb'.\n"
    assert [c.method for c in calls] == ["one.user.info"]


def test_show_prints_no_whole_token() -> None:
    user = TOKENS.replace("aa11", "aa11" * 16)
    assert "aa11" * 2 not in _run("oneuser show", {"one.user.info": user})[0].out


# --- groups and rules ---


def test_a_new_group_may_create_objects() -> None:
    outcome, calls = _run("onegroup create web", {"one.group.allocate": 100, "one.acl.addrule": 9})
    assert outcome.out == "ID: 100\n"
    assert calls == [
        ("one.group.allocate", ("web",)),
        ("one.acl.addrule", ("200000064", "2542d400000000", "8", "400000000")),
    ]  # fmt: skip


def test_a_group_may_get_an_administrator_and_other_rights() -> None:
    answers: dict[object, Answer] = {
        "one.group.allocate": 100, "one.acl.addrule": 9, "one.user.allocate": 5, "one.group.addadmin": 100,
    }  # fmt: skip
    line = "onegroup create --name web --resources VM+IMAGE --admin_user bob"
    _, calls = _run(line, answers, Screen(interactive=True, keys=(SECRET,)))
    assert calls == [
        ("one.group.allocate", ("web",)),
        ("one.acl.addrule", ("200000064", "9400000000", "8", "400000000")),
        ("one.user.allocate", ("bob", SECRET, "core", [100])),
        ("one.group.addadmin", (100, 5)),
    ]


@pytest.mark.parametrize(
    ("rule", "parts"),
    [
        ("#3 VM+NET/* USE+MANAGE #0", ("100000003", "5400000000", "3", "100000000")),
        ("@100 HOST/%0 MANAGE", ("200000064", "2800000000", "2")),
        ("* ZONE/* USE *", ("400000000", "800400000000", "1", "400000000")),
    ],
)
def test_a_rule_is_sent_as_its_components(rule: str, parts: tuple[str, ...]) -> None:
    outcome, calls = _run(["oneacl", "create", rule], {"one.acl.addrule": 4})
    assert outcome.out == "ID: 4\n"
    assert calls == [("one.acl.addrule", parts)]


def test_components_are_sent_as_they_are() -> None:
    _, calls = _run("oneacl create 100000003 5400000000 3", {"one.acl.addrule": 4})
    assert calls == [("one.acl.addrule", ("100000003", "5400000000", "3"))]


@pytest.mark.parametrize("rule", ["", "#3", "#3 VM/* FLY", "#3 BOAT/* USE", "x VM/* USE", "#3 VM/%0 USE"])
def test_a_malformed_rule_is_not_sent(rule: str) -> None:
    outcome, calls = _run(["oneacl", "create", rule], {"one.acl.addrule": 4})
    assert (outcome.code, calls) == (255, [])
    assert outcome.err


def test_the_rules_of_acl_strings_are_in_a_further_column() -> None:
    outcome, _ = _run("oneacl list -l ID,STRING --no-header", {"one.acl.info": recorded("acl-pool")})
    assert outcome.out.splitlines()[1] == "   1 * ZONE/* USE *"


# --- quotas ---


def test_a_quota_is_edited_as_a_template() -> None:
    screen = Screen(editor=lambda text: text.replace('VMS="4"', 'VMS="9"'))
    answers: dict[object, Answer] = {"one.user.info": recorded("user"), "one.user.quota": 2}
    _, calls = _run("oneuser quota 2", answers, screen)
    before = Template.parse(screen.edited[0])
    assert before.vector("DATASTORE") == {"ID": "1", "IMAGES": "5", "SIZE": "2048"}
    after = Template.parse(str(calls[-1].arguments[1])).vector("VM")
    assert after is not None
    assert (calls[-1].method, after["VMS"], after["CPU"]) == ("one.user.quota", "9", "-2")


def test_a_quota_file_serves_several() -> None:
    screen = Screen(stdin='VM=[VMS="1"]')
    _, calls = _run("onegroup batchquota 100,101 -", {"one.group.quota": 0}, screen)
    assert [c.arguments[0] for c in calls] == [100, 101]


def test_the_default_quota_is_edited() -> None:
    screen = Screen(editor=lambda _: 'VM=[VMS="10"]\n')
    answers: dict[object, Answer] = {"one.userquota.info": recorded("user-quota"), "one.userquota.update": ""}
    _, calls = _run("oneuser defaultquota", answers, screen)
    assert calls[-1] == ("one.userquota.update", ('VM=[VMS="10"]\n',))


def test_a_list_shows_the_default_limit_where_there_is_no_own_one() -> None:
    pool = (
        "<USER_POOL><USER><ID>3</ID><NAME>ann</NAME></USER><QUOTAS><ID>3</ID><VM_QUOTA><VM><VMS>-1</VMS>"
        "<VMS_USED>2</VMS_USED></VM></VM_QUOTA></QUOTAS><DEFAULT_USER_QUOTAS><VM_QUOTA><VM><VMS>8</VMS></VM>"
        "</VM_QUOTA></DEFAULT_USER_QUOTAS></USER_POOL>"
    )
    outcome, _ = _run("oneuser list -l VMS --no-header", {"one.userpool.info": pool})
    assert outcome.out == "   2 /   8\n"


# --- hosts ---


def test_flush_disables_the_host_and_moves_its_machines() -> None:
    answers: dict[object, Answer] = {
        "one.host.status": 1,
        "one.host.info": recorded("host"),
        "one.vm.action": 0,
    }
    _, calls = _run("onehost flush 1", answers)
    assert [calls[0], calls[-1]] == [("one.host.status", (1, 1)), ("one.vm.action", ("resched", 0))]


def test_forceupdate_leaves_disabled_hosts_alone() -> None:
    pool = "".join(
        f"<HOST><ID>{i}</ID><STATE>{s}</STATE><CLUSTER_ID>0</CLUSTER_ID></HOST>"
        for i, s in enumerate((2, 4, 8, 3))
    )
    answers: dict[object, Answer] = {
        "one.hostpool.info": f"<HOST_POOL>{pool}</HOST_POOL>",
        "one.host.status": 0,
    }
    _, calls = _run("onehost forceupdate", answers)
    assert [c.arguments for c in calls[1:]] == [(0, 0), (3, 0)]


_WILD = (
    "<HOST><ID>1</ID><TEMPLATE><VM><VM_NAME>old</VM_NAME><DEPLOY_ID>uuid-1</DEPLOY_ID><IMPORT_TEMPLATE>"
    f"{base64.b64encode(b'CPU=1').decode()}</IMPORT_TEMPLATE></VM></TEMPLATE></HOST>"
)


def test_a_wild_machine_is_taken_over_before_the_scheduler_sees_it() -> None:
    answers: dict[object, Answer] = {"one.host.info": _WILD, "one.vm.allocate": 8, "one.vm.deploy": 8}
    outcome, calls = _run("onehost importvm 1 old", answers)
    assert outcome.out == "ID: 8\n"
    text, hold = calls[1].arguments
    assert Template.parse(str(text)) == Template.parse('CPU=1 NAME="old" DEPLOY_ID="uuid-1"')
    assert hold is True
    assert calls[2] == ("one.vm.deploy", (8, 1, False, -1, ""))


def test_a_machine_that_cannot_be_taken_over_is_forgotten() -> None:
    answers: dict[object, Answer] = {
        "one.host.info": _WILD, "one.vm.allocate": 8, "one.vm.action": 8,
        "one.vm.deploy": OneError(2048, "[one.vm.deploy] no."),
    }  # fmt: skip
    outcome, calls = _run("onehost importvm 1 old", answers)
    assert (outcome.code, outcome.err) == (255, "[one.vm.deploy] no.\n")
    assert calls[-1] == ("one.vm.action", ("terminate-hard", 8))


def test_what_a_host_measured_is_printed() -> None:
    answers: dict[object, Answer] = {"one.host.monitoring": recorded("host-monitoring")}
    outcome, _ = _run("onehost monitoring 0 free_memory --unit G --csv ;", answers)
    assert outcome.out == "1795226169;14.4G\n"


# --- networks and images ---


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        ("--ip 10.0.0.1 --size 5", {"TYPE": "IP4", "IP": "10.0.0.1", "SIZE": "5"}),
        ("-s 5", {"TYPE": "ETHER", "SIZE": "5"}),
        ("-s 5 -g 2001:db8::", {"TYPE": "IP6", "SIZE": "5", "GLOBAL_PREFIX": "2001:db8::"}),
        (
            "-s 5 -i 10.0.0.1 -u fd00::",
            {"TYPE": "IP4_6", "IP": "10.0.0.1", "SIZE": "5", "ULA_PREFIX": "fd00::"},
        ),
        ("-s 5 -6 2001:db8::1", {"TYPE": "IP6_STATIC", "IP6": "2001:db8::1", "SIZE": "5"}),
    ],
)
def test_an_address_range_is_made_of_options(options: str, attributes: dict[str, str]) -> None:
    _, calls = _run(f"onevnet addar 0 {options}", {"one.vn.add_ar": 0})
    assert Template.parse(str(calls[0].arguments[1])).vector("AR") == attributes


def test_an_edited_address_range_lacks_what_is_computed() -> None:
    screen = Screen(editor=lambda text: text.replace("20", "30"))
    answers: dict[object, Answer] = {"one.vn.info": recorded("vnet"), "one.vn.update_ar": 0}
    _, calls = _run("onevnet updatear 0 0", answers, screen)
    vector = Template.parse(str(calls[-1].arguments[1])).vector("AR")
    assert vector == {
        "AR_ID": "0",
        "IP": "10.1.0.10",
        "MAC": "02:00:0a:01:00:0a",
        "SIZE": "30",
        "TYPE": "IP4",
    }


def test_an_image_is_made_of_options() -> None:
    options = "--name data --type datablock --size 10G --prefix vd --persistent -d 1 --no_check_capacity"
    outcome, calls = _run(f"oneimage create {options}", {"one.image.allocate": 5})
    text = 'DEV_PREFIX="vd"\nNAME="data"\nPERSISTENT="YES"\nSIZE="10240"\nTYPE="DATABLOCK"\n'
    assert outcome.out == "ID: 5\n"
    assert calls == [("one.image.allocate", (text, 1, False))]


def test_images_that_nothing_uses_are_orphans() -> None:
    images = (
        "<IMAGE_POOL><IMAGE><ID>2</ID><NAME>named</NAME><UNAME>ann</UNAME><VMS/></IMAGE>"
        "<IMAGE><ID>1</ID><NAME>free</NAME><UNAME>ann</UNAME><VMS/></IMAGE>"
        "<IMAGE><ID>0</ID><NAME>used</NAME><UNAME>ann</UNAME><VMS><ID>0</ID></VMS></IMAGE></IMAGE_POOL>"
    )
    template = (
        "<VMTEMPLATE_POOL><VMTEMPLATE><UNAME>ann</UNAME><TEMPLATE><DISK><IMAGE>named</IMAGE></DISK></TEMPLATE>"
        "</VMTEMPLATE></VMTEMPLATE_POOL>"
    )
    answers: dict[object, Answer] = {"one.imagepool.info": images, "one.templatepool.info": template}
    assert _run("oneimage orphans", answers)[0].out == "1\n"


# --- zones and accounting ---


def test_set_keeps_the_endpoint_of_a_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    outcome, _ = _run("onezone set 0 --keep", {"one.zone.info": recorded("zone")})
    assert outcome.code == 0
    assert (tmp_path / ".one" / "one_endpoint").read_text() == "http://localhost:2733/RPC2\n"


def test_accounting_asks_for_a_period_and_a_user() -> None:
    answers: dict[object, Answer] = {"one.vmpool.accounting": "<HISTORY_RECORDS/>"}
    _, calls = _run("oneacct -s 2000000000 -e 2000000100 -u 3", answers)
    assert calls == [("one.vmpool.accounting", (3, 2000000000, 2000000100))]


@pytest.mark.parametrize(
    ("options", "records"),
    [
        ("", 5),
        ("--host node1", 3),
        ("--host 0", 2),
        ("--group oneadmin", 5),
        ("--group 7", 0),
        ("--xpath SEQ", 5),
        ("--xpath HISTORY[SEQ='2']", 1),
    ],
)
def test_accounting_records_can_be_chosen(options: str, records: int) -> None:
    answers: dict[object, Answer] = {"one.vmpool.accounting": recorded("accounting")}
    outcome, _ = _run(f"oneacct --csv --no-header {options}", answers)
    assert len(outcome.out.splitlines()) == records


def test_accounting_can_be_split_by_machine_and_printed_as_json() -> None:
    answers: dict[object, Answer] = {"one.vmpool.accounting": recorded("accounting")}
    assert "# VM 0 web-1" in _run("oneacct --split", answers)[0].out
    document = json.loads(_run("oneacct --json --host node1", answers)[0].out)
    assert len(document["HISTORY_RECORDS"]["HISTORY"]) == 3


def test_accounting_refuses_an_expression_that_it_cannot_read() -> None:
    outcome, _ = _run("oneacct --xpath HISTORY[", {"one.vmpool.accounting": recorded("accounting")})
    assert outcome.code == 255
    assert outcome.err.startswith("--xpath: ")
