"""goca, the Go binding, reads every document of a cloud with one of everything, and its calls are understood.

goca itself can't be had here: goca.py has its field types, go_client.py writes what it would send.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compat import goca
from tests.compat.conftest import Sandbox
from tests.compat.go_client import INFO, NO_EXISTS, POOLS, GoClient, body_of, pair, refused, text_of, vector
from tests.compat.test_schemas import Caller, furnish

from merope.model.template import Template

MARKET = 'NAME="shelf"\nMARKET_MAD="http"\nBASE_URL="http://127.0.0.1/"\nPUBLIC_DIR="/tmp"'
VM_ACTIVE, DONE = 3, 6


@pytest.fixture(scope="module")
def furnished(sandbox: Sandbox) -> Iterator[GoClient]:
    """The cloud of the schemas' test, with groups, clusters, rules, locks and a market beside."""
    call = Caller(sandbox)
    furnish(call)
    call("one.group.allocate", "staff")
    call("one.user.addgroup", 2, 100)
    call("one.group.addadmin", 100, 2)
    call("one.group.quota", 100, "VM=[CPU=1.5,RUNNING_VMS=2] IMAGE=[ID=0,RVMS=3]")
    call("one.cluster.allocate", "rack")
    call("one.vdc.allocate", 'NAME="tenant"', -1)
    for method, oid in (("addcluster", 100), ("addhost", 0), ("adddatastore", 1), ("addvnet", 0)):
        call(f"one.vdc.{method}", 100, 0, oid)
    call("one.vdc.addgroup", 100, 100)
    call("one.acl.addrule", "200000064", "1100000064", "1")
    market = call("one.market.allocate", MARKET)
    call("one.marketapp.allocate", 'NAME="app"\nORIGIN_ID="0"\nTYPE="image"', market)
    call("one.vm.attach", 0, "DISK=[TYPE=fs,SIZE=4]")
    call.settle("one.vm.info", 0, "<LCM_STATE>3</LCM_STATE>")
    call("one.vm.disksnapshotcreate", 0, 0, "before")
    call.settle("one.vm.info", 0, "<LCM_STATE>3</LCM_STATE>")
    call("one.vm.snapshotcreate", 0, "whole")
    call.settle("one.vm.info", 0, "<LCM_STATE>3</LCM_STATE>")
    for kind in ("vm", "vn", "image", "template", "vrouter", "document", "vntemplate", "vmgroup"):
        call(f"one.{kind}.lock", 0, 3)
    call.close()
    with GoClient(sandbox.endpoint, sandbox.auth) as client:
        yield client


@pytest.mark.parametrize("kind", sorted(INFO))
def test_every_object_of_a_pool_is_read_alone_and_in_the_pool(furnished: GoClient, kind: str) -> None:
    listed = furnished.pool(kind)
    assert listed, f"the cloud has no {kind}"
    for each in listed:
        alone = furnished.info(kind, each["ID"])
        assert alone["NAME"] == each["NAME"]


def test_an_older_goca_reads_templates_with_and_without_what_their_images_say(furnished: GoClient) -> None:
    for extended in (False, True):
        read = goca.read(furnished("one.template.info", 0, extended, False), "vmtemplate")
        assert read["TEMPLATE"].get("CPU") == "0.5"


def test_the_extended_pool_of_vms_has_their_last_records(furnished: GoClient) -> None:
    read = goca.read(furnished("one.vmpool.infoextended", -2, -1, -1, -2), "vm_pool")
    records = {vm["ID"]: vm["HISTORY_RECORDS>HISTORY"] for vm in read["VM"]}
    assert [record["HID"] for record in records[0]] == [0]


def test_monitoring_is_read_of_one_and_of_all(furnished: GoClient) -> None:
    for method, arguments in (
        ("one.vm.monitoring", (0,)),
        ("one.host.monitoring", (0,)),
        ("one.vmpool.monitoring", (-2, -1)),
        ("one.hostpool.monitoring", (-1,)),
    ):
        for record in goca.read(furnished(method, *arguments), "monitoring")["MONITORING"]:
            assert int(record.get("TIMESTAMP")) > 0, method


def test_the_state_of_the_zones_server_is_read(furnished: GoClient) -> None:
    assert goca.read(furnished("one.zone.raftstatus"), "raftstatus")["SERVER_ID"] == -1


def test_rules_are_read(furnished: GoClient) -> None:
    rules = goca.read(furnished("one.acl.info"), "acl_pool")["ACL"]
    assert "@100 VM/#100 USE #0" in [rule["STRING"] for rule in rules]


def test_numbers_that_goca_takes_out_of_templates_are_numbers(furnished: GoClient) -> None:
    vm = furnished.info("vm", 0)
    tpl = vm["TEMPLATE"]
    assert float(tpl.get("CPU")) == 0.5
    assert int(tpl.get("MEMORY")) == 64
    assert [disk.number("DISK_ID") for disk in tpl.all("DISK")] == [0, 1, 3]
    assert all(disk.number("SIZE") > 0 for disk in tpl.all("DISK"))
    assert [nic.number("NIC_ID") for nic in tpl.all("NIC")] == [0]
    assert [nic.number("NETWORK_ID") for nic in tpl.all("NIC")] == [0]
    assert tpl.vector("GRAPHICS").number("PORT") >= 5900
    assert tpl.vector("CONTEXT").get("ETH0_IP") == tpl.all("NIC")[0].get("IP")


def test_no_vector_has_a_name_twice_and_no_pair_stands_beside_a_vector_of_its_name(
    furnished: GoClient,
) -> None:
    for kind in sorted(POOLS):
        for each in furnished.pool(kind):
            for field in ("TEMPLATE", "USER_TEMPLATE"):
                read = each.get(field)
                if not isinstance(read, goca.Template):
                    continue
                assert not {name for name, _ in read.pairs} & {name for name, _ in read.vectors}
                for name, pairs in read.vectors:
                    keys = [key for key, _ in pairs]
                    assert len(keys) == len(set(keys)), (kind, each["ID"], name)


def test_a_locks_level_and_owner_are_numbers(furnished: GoClient) -> None:
    for kind in ("vm", "vn", "image", "template", "vrouter", "document", "vntemplate", "vmgroup"):
        lock = furnished.info(kind, 0)["LOCK"]
        assert (lock["LOCKED"], lock["OWNER"]) == (3, 0), kind


def test_a_vm_that_is_not_active_has_the_first_lcm_state(furnished: GoClient) -> None:
    # Current clients compare both states at once: POWEROFF:LCM_INIT, DONE:LCM_INIT.
    oid = furnished.id("one.vm.allocate", f"{pair('CPU', 0.1)}\n{pair('MEMORY', 16)}", False)

    def reach(state: int, lcm: int) -> None:
        def odd(vm: dict[str, int]) -> bool:
            return vm["STATE"] == VM_ACTIVE or vm["LCM_STATE"] == 0

        furnished.until("vm", oid, lambda vm: (vm["STATE"], vm["LCM_STATE"]) == (state, lcm), odd)

    reach(3, 3)
    for action, state in (("poweroff-hard", 8), ("undeploy-hard", 9), ("suspend", 5), ("stop", 4)):
        furnished("one.vm.action", action, oid)
        reach(state, 0)
        furnished("one.vm.action", "resume", oid)
        reach(3, 3)
    furnished("one.vm.action", "terminate-hard", oid)
    reach(6, 0)


def test_a_vm_is_deployed_snapshotted_and_moved_with_the_words_that_goca_gives(furnished: GoClient) -> None:
    second = furnished.id("one.host.allocate", "second-host", "dummy", "dummy", -1)
    furnished.until("host", second, lambda host: host["STATE"] == 2, lambda host: True)
    disk = vector("DISK", TYPE="fs", SIZE=4)
    oid = furnished.id("one.vm.allocate", "\n".join([pair("CPU", 0.1), pair("MEMORY", 16), disk]), True)

    def settled() -> dict[str, Any]:
        return furnished.until(
            "vm", oid, lambda vm: (vm["STATE"], vm["LCM_STATE"]) == (3, 3), lambda vm: True
        )

    furnished("one.vm.deploy", oid, 0, False, -1)
    assert settled()["HISTORY_RECORDS>HISTORY"][-1]["HID"] == 0
    furnished("one.vm.snapshotcreate", oid, "")
    (snapshot,) = settled()["TEMPLATE"].all("SNAPSHOT")
    furnished("one.vm.snapshotrevert", oid, snapshot.number("SNAPSHOT_ID"))
    settled()
    furnished("one.vm.snapshotdelete", oid, snapshot.number("SNAPSHOT_ID"))
    assert settled()["TEMPLATE"].all("SNAPSHOT") == []
    furnished("one.vm.migrate", oid, second, True, False, -1, 0)
    assert [record["HID"] for record in settled()["HISTORY_RECORDS>HISTORY"]] == [0, second]
    furnished("one.vm.action", "resched", oid)
    records = "HISTORY_RECORDS>HISTORY"
    furnished.until("vm", oid, lambda vm: len(vm[records]) == 3 and vm["LCM_STATE"] == 3, lambda vm: True)
    furnished("one.vm.recover", oid, 3)
    furnished.until("vm", oid, lambda vm: vm["STATE"] == DONE, lambda vm: True)


def test_snapshots_of_a_disk_have_the_numbers_that_were_answered(furnished: GoClient) -> None:
    image = furnished.id("one.image.allocate", f"{pair('NAME', 'snapped')}\n{pair('SIZE', 8)}", 1)
    furnished.until("image", image, lambda read: read["STATE"] == 1, lambda read: True)
    parts = [pair("CPU", 0.1), pair("MEMORY", 16), vector("DISK", IMAGE_ID=image)]
    oid = furnished.id("one.vm.allocate", "\n".join(parts), False)

    def settled(state: tuple[int, int]) -> dict[str, Any]:
        return furnished.until("vm", oid, lambda vm: (vm["STATE"], vm["LCM_STATE"]) == state, lambda vm: True)

    settled((3, 3))
    furnished("one.vm.action", "poweroff-hard", oid)
    settled((8, 0))
    for wanted in (0, 1):
        assert furnished.id("one.vm.disksnapshotcreate", oid, 0, f"take-{wanted}") == wanted
        settled((8, 0))
    furnished("one.vm.disksnapshotrename", oid, 0, 1, "renamed")
    furnished("one.vm.disksnapshotrevert", oid, 0, 0)
    (tree,) = settled((8, 0))["SNAPSHOTS"]
    assert [(each["ID"], each["NAME"]) for each in tree["SNAPSHOT"]] == [(0, "take-0"), (1, "renamed")]
    assert tree["DISK_ID"] == 0
    furnished("one.vm.disksnapshotdelete", oid, 0, 1)
    (tree,) = settled((8, 0))["SNAPSHOTS"]
    assert [each["ID"] for each in tree["SNAPSHOT"]] == [0]
    furnished("one.vm.action", "terminate-hard", oid)
    settled((6, 0))


def test_what_is_not_there_is_refused_with_the_code_that_clients_look_at(furnished: GoClient) -> None:
    for kind in sorted(INFO):
        with refused(NO_EXISTS):
            furnished.info(kind, 9999)


def test_the_words_that_older_clients_look_for_are_in_the_refusal(furnished: GoClient) -> None:
    with refused(NO_EXISTS, "Error getting image"):
        furnished.info("image", 9999)
    with refused(NO_EXISTS, "Error getting virtual machine"):
        furnished.info("vm", 9999)


def test_a_value_with_quotes_and_markup_comes_back_as_it_was(furnished: GoClient) -> None:
    value = """it's "quoted" <b>&amp;</b> 100% #1 é [x,y] = \u65e5\u672c $HOME"""
    text = f"{pair('NAME', 'marked')}\n{pair('NOTE', value)}\n{vector('DEEP', ONE=value, TWO='2')}"
    oid = furnished.id("one.template.allocate", text)
    read = furnished.info("template", oid)["TEMPLATE"]
    assert read.get("NOTE") == value
    assert read.vector("DEEP").get("ONE") == value
    furnished("one.template.update", oid, text_of(read), 0)
    assert furnished.info("template", oid)["TEMPLATE"] == read


def test_the_name_of_an_object_with_letters_of_other_languages_is_found(furnished: GoClient) -> None:
    oid = furnished.id("one.document.allocate", pair("NAME", "\u00e9t\u00e9 [1]"), 100)
    assert furnished.by_name("document", "\u00e9t\u00e9 [1]") == oid


def test_an_empty_list_of_groups_is_understood() -> None:
    assert b"<array><data></data></array>" in body_of("one.user.allocate", ["a:b", "x", "y", "core", []])


def test_a_user_is_made_without_groups(furnished: GoClient) -> None:
    oid = furnished.id("one.user.allocate", "groupless", "secret", "core", [])
    assert furnished.info("user", oid)["GROUPS"]["ID"] == [1]


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ("<VM><ID></ID></VM>", "vm"),
        ("<VM><ID>1.5</ID></VM>", "vm"),
        ("<HOST/>", "vm"),
        ("<IMAGE><SNAPSHOTS/><SNAPSHOTS/></IMAGE>", "image"),
        ("<VM><TEMPLATE><A><![CDATA[1]]><![CDATA[2]]></A></TEMPLATE></VM>", "vm"),
        ("<USER><VM_QUOTA><VM><CPU>x</CPU></VM></VM_QUOTA></USER>", "user"),
        ("<VNET><PERMISSIONS><OWNER_U>300</OWNER_U></PERMISSIONS></VNET>", "vnet"),
        ("<VM><ID>1</ID>", "vm"),
    ],
)
def test_what_goca_does_not_read_is_found(document: str, kind: str) -> None:
    with pytest.raises(goca.UnreadableError):
        goca.read(document, kind)


NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
#: What strconv.Quote leaves as it is, and 5.12's language too; the end of a CDATA section is refused.
LETTERS = st.characters(exclude_categories=("C", "Z"), exclude_characters="`\\")
VALUES = st.text(LETTERS, min_size=1, max_size=20).filter(lambda text: "]]>" not in text)


@given(st.dictionaries(NAMES, st.one_of(VALUES, st.dictionaries(NAMES, VALUES, min_size=1)), max_size=6))
def test_whatever_goca_writes_and_the_cloud_takes_goca_reads_back(values: dict[str, Any]) -> None:
    pairs = [(name, value) for name, value in values.items() if isinstance(value, str)]
    vectors = [(name, sorted(value.items())) for name, value in values.items() if isinstance(value, dict)]
    written = goca.Template(pairs, vectors)
    taken = Template.parse(text_of(written))
    read = goca.template(goca.parse(taken.to_xml()))
    assert (sorted(read.pairs), sorted(read.vectors)) == (sorted(pairs), sorted(vectors))
