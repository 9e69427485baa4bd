"""Documents of applications: types apart, copies, locks."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema

from merope.model.errors import Code
from merope.model.permissions import ObjectType
from merope.model.stored_document import StoredDocument

SERVICE, TEMPLATE = 100, 101
ANN, BOB = 2, 3


def listed(core: Core, who: int, kind: int, flag: int = -2, start: int = -1, end: int = -1) -> list[int]:
    pool = ElementTree.fromstring(core.call(who, "one.documentpool.info", flag, start, end, kind))
    return [int(found.findtext("ID") or -1) for found in pool]


@pytest.fixture
def core() -> Core:
    """Documents 0 and 2 are services, 1 is a service template; ann owns all."""
    made = Core()
    assert (made.user("ann"), made.user("bob")) == (ANN, BOB)
    for name, kind in (("web", SERVICE), ("plan", TEMPLATE), ("db", SERVICE)):
        made.call(ANN, "one.document.allocate", f'NAME={name}\nBODY="{{}}"', kind)
    return made


def test_a_document_is_the_recorded_one() -> None:
    core = Core()
    core.call(0, "one.document.allocate", 'NAME=doc\nBODY="{}"', SERVICE)
    ours = ElementTree.fromstring(core.call(0, "one.document.info", 0))
    assert flat(ours) == flat(example("document.xml"))


def test_documents_are_valid(core: Core) -> None:
    core.call(ANN, "one.document.lock", 0, 1)
    check_schema(core.call(ANN, "one.document.info", 0), "document")
    check_schema(core.call(ANN, "one.documentpool.info", -2, -1, -1, SERVICE), "document_pool")
    check_schema(core.call(ANN, "one.documentpool.info", -2, -1, -1, 77), "document_pool")


def test_a_document_without_a_name_is_called_after_its_id(core: Core) -> None:
    assert core.call(ANN, "one.document.allocate", "BODY=x", SERVICE) == 3
    assert core.get(StoredDocument, 3).name == "document-3"


def test_documents_may_have_the_same_name(core: Core) -> None:
    core.call(ANN, "one.document.allocate", "NAME=web", SERVICE)
    core.call(ANN, "one.document.rename", 2, "web")
    assert [core.get(StoredDocument, oid).name for oid in (0, 2, 3)] == ["web"] * 3


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("NAME=a<b", "Invalid NAME, char '<' is not allowed"),
        (f"NAME={'a' * 129}", "Invalid NAME, max length is 128 chars"),
        ("NAME=[", "syntax error"),
    ],
)
def test_what_makes_no_document_is_refused(core: Core, template: str, words: str) -> None:
    error = core.fails(ANN, "one.document.allocate", template, SERVICE)
    assert error.code is Code.INTERNAL
    assert words in error.message


def test_types_are_listed_apart(core: Core) -> None:
    assert listed(core, ANN, SERVICE) == [2, 0]
    assert listed(core, ANN, TEMPLATE) == [1]
    assert listed(core, ANN, 5) == []


def test_a_list_shows_what_the_filter_the_range_and_the_rights_let_through(core: Core) -> None:
    assert listed(core, BOB, SERVICE) == []
    core.call(ANN, "one.document.chmod", 0, -1, -1, -1, 1, -1, -1, -1, -1, -1)
    assert listed(core, BOB, SERVICE) == [0]
    assert listed(core, BOB, SERVICE, -1) == [0]
    assert listed(core, BOB, SERVICE, -3) == []
    assert listed(core, BOB, SERVICE, -4) == [0]
    assert listed(core, BOB, SERVICE, ANN) == [0]
    assert listed(core, ANN, SERVICE, -2, 1, -1) == [2]
    assert listed(core, ANN, SERVICE, -2, 0, -2) == [2, 0]
    assert core.fails(ANN, "one.documentpool.info", -5, -1, -1, SERVICE).code is Code.XML_RPC_API


def test_a_copy_has_the_type_and_the_content(core: Core) -> None:
    core.call(ANN, "one.document.chmod", 1, -1, -1, -1, 1, -1, -1, -1, -1, -1)
    copy = core.get(StoredDocument, core.call(BOB, "one.document.clone", 1, "mine"))
    assert (copy.name, copy.type, copy.uid, copy.template.get("BODY")) == ("mine", TEMPLATE, BOB, "{}")


def test_a_copy_takes_the_right_to_use_the_original(core: Core) -> None:
    assert sentence(core.fails(BOB, "one.document.clone", 0, "mine")) == (
        Code.AUTHORIZATION,
        "User [3] : Not authorized to perform USE DOCUMENT [0].",
    )
    assert core.fails(ANN, "one.document.clone", 99, "mine").code is Code.NO_EXISTS


def test_a_copy_with_a_bad_name_is_refused(core: Core) -> None:
    assert sentence(core.fails(ANN, "one.document.clone", 0, "a$b")) == (
        Code.ALLOCATE,
        "Error allocating a new document. Invalid NAME, char '$' is not allowed",
    )


def test_making_documents_takes_the_right_to(core: Core) -> None:
    rule = core.state.rules
    for stored in list(rule):
        core.call(0, "one.acl.delrule", stored.id)
    assert sentence(core.fails(ANN, "one.document.allocate", "NAME=x", SERVICE)) == (
        Code.AUTHORIZATION,
        "User [2] : Not authorized to perform CREATE DOCUMENT.",
    )


def test_a_deleted_document_is_gone_with_its_rules(core: Core) -> None:
    core.call(
        0,
        "one.acl.addrule",
        hex(0x1_0000_0003),
        hex(ObjectType.DOCUMENT | 0x1_0000_0000),
        "0x1",
        "0x100000000",
    )
    assert listed(core, BOB, SERVICE) == [0]
    core.call(ANN, "one.document.delete", 0)
    assert not core.exists(StoredDocument, 0)
    assert not list(core.state.rules.rules_about(ObjectType.DOCUMENT, 0))
    assert core.fails(ANN, "one.document.info", 0).code is Code.NO_EXISTS


def test_only_who_manages_a_document_deletes_it(core: Core) -> None:
    assert core.fails(BOB, "one.document.delete", 0).code is Code.AUTHORIZATION


def test_an_update_replaces_or_merges(core: Core) -> None:
    core.call(ANN, "one.document.update", 0, "NOTE=x", 1)
    assert core.get(StoredDocument, 0).template.get("BODY") == "{}"
    core.call(ANN, "one.document.update", 0, "NOTE=y", 0)
    assert core.get(StoredDocument, 0).template.names() == ["NOTE"]


@pytest.mark.parametrize(("level", "refused"), [(1, ("delete", "clone")), (2, ("delete",)), (3, ()), (4, ())])
def test_a_lock_refuses_by_its_level(core: Core, level: int, refused: tuple[str, ...]) -> None:
    core.call(ANN, "one.document.lock", 0, level)
    assert "<LOCKED>" in core.call(ANN, "one.document.info", 0)
    for action, arguments in (("clone", ("copy",)), ("delete", ())):
        if action in refused:
            error = core.fails(ANN, f"one.document.{action}", 0, *arguments)
            assert sentence(error) == (Code.AUTHORIZATION, "User [2] : DOCUMENT is locked. [0].")
        else:
            core.call(ANN, f"one.document.{action}", 0, *arguments)


def test_a_lock_is_taken_off_by_who_set_it(core: Core) -> None:
    core.call(ANN, "one.document.chmod", 0, -1, -1, -1, 1, 1, -1, -1, -1, -1)
    core.call(ANN, "one.document.lock", 0, 2)
    assert sentence(core.fails(BOB, "one.document.unlock", 0)) == (
        Code.ACTION,
        "Cannot unlock: Lock is owned by another user",
    )
    core.call(ANN, "one.document.unlock", 0)
    core.call(ANN, "one.document.delete", 0)
    assert not core.exists(StoredDocument, 0)


def test_a_new_owner_and_group_are_shown(core: Core) -> None:
    core.call(0, "one.document.chown", 0, BOB, 0)
    moved = core.get(StoredDocument, 0)
    assert (moved.uid, moved.uname, moved.gid, moved.gname) == (BOB, "bob", 0, "oneadmin")
    assert core.fails(ANN, "one.document.chown", 0, ANN, -1).code is Code.AUTHORIZATION
