"""Quotas of users and groups: what is taken is counted, in the same transaction, and given back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.conftest import Core, sentence

from merope.core import quota
from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.quota import Usage, sections_xml


def cloud_with_ann() -> tuple[Core, int]:
    core = Core()
    return core, core.user("ann", 1)


def run(core: Core, uid: int, action: Any) -> None:
    tx = core.transaction(core.caller(uid))
    action(tx)
    core.commit(tx)


def used(core: Core, uid: int) -> str:
    return sections_xml(core.state.user_quotas.get(uid))


def test_what_is_charged_is_counted_for_user_and_group() -> None:
    core, ann = cloud_with_ann()
    run(core, ann, lambda tx: quota.charge(tx, ann, 1, Usage().vm(vms=1, cpu=0.5, memory=64)))
    assert "<CPU_USED><![CDATA[0.50]]></CPU_USED>" in core.call(ann, "one.user.info", -1)
    assert "<CPU_USED><![CDATA[0.50]]></CPU_USED>" in core.call(0, "one.group.info", 1)


def test_a_limit_of_the_user_refuses_with_its_sentence() -> None:
    core, ann = cloud_with_ann()
    core.call(0, "one.user.quota", ann, "VM=[VMS=1]")
    run(core, ann, lambda tx: quota.charge(tx, ann, 1, Usage().vm(vms=1)))
    before = used(core, ann)
    with pytest.raises(ApiError) as caught:
        run(core, ann, lambda tx: quota.charge(tx, ann, 1, Usage().vm(vms=1)))
    text = f"User [{ann}] : user [{ann}] limit of 1 reached for VMS quota in VM.."
    assert sentence(caught.value) == (Code.AUTHORIZATION, text)
    assert used(core, ann) == before


def test_a_limit_of_the_group_leaves_the_users_count_alone() -> None:
    core, ann = cloud_with_ann()
    core.call(0, "one.group.quota", 1, "DATASTORE=[ID=1,SIZE=10]")
    tx = core.transaction(core.caller(ann))
    with pytest.raises(ApiError) as caught:
        quota.charge(tx, ann, 1, Usage().datastore(1, images=1, size=11))
    assert caught.value.message.endswith(
        "group [1] limit of 10 reached for SIZE quota in DATASTORE with ID: 1.."
    )
    assert not tx.quotas("user", ann)


def test_oneadmin_and_the_group_oneadmin_are_not_counted() -> None:
    core, ann = cloud_with_ann()
    run(core, 0, lambda tx: quota.charge(tx, 0, 0, Usage().vm(vms=1)))
    run(core, 0, lambda tx: quota.charge(tx, ann, 0, Usage().vm(vms=1)))
    assert set(core.state.user_quotas) == {ann}
    assert not core.state.group_quotas


def test_default_quotas_hold_for_who_has_no_own() -> None:
    core, ann = cloud_with_ann()
    answer = core.call(0, "one.userquota.update", "VM=[VMS=1]")
    assert "<VMS><![CDATA[1]]></VMS>" in answer
    assert core.call(ann, "one.userquota.info") == answer
    assert answer in core.call(ann, "one.user.info", ann)
    with pytest.raises(ApiError):
        run(core, ann, lambda tx: quota.charge(tx, ann, 1, Usage().vm(vms=2)))
    core.call(0, "one.user.quota", ann, "VM=[VMS=-2]")
    run(core, ann, lambda tx: quota.charge(tx, ann, 1, Usage().vm(vms=2)))
    assert "<VMS_USED><![CDATA[2]]></VMS_USED>" in used(core, ann)


def test_default_quotas_are_for_administrators_to_set() -> None:
    core, ann = cloud_with_ann()
    error = core.fails(ann, "one.groupquota.update", "VM=[VMS=1]")
    assert error.code is Code.AUTHORIZATION
    assert core.call(0, "one.groupquota.info").startswith("<DEFAULT_GROUP_QUOTAS><DATASTORE_QUOTA/>")


@pytest.mark.parametrize(
    ("method", "oid", "text"),
    [
        ("one.user.quota", 0, "Cannot set quotas for oneadmin user"),
        ("one.group.quota", 0, "Cannot set quotas for oneadmin group"),
        (
            "one.group.quota",
            1,
            "Negative limits or bad format in quota VM = [ VMS=-3 ]",
        ),
    ],
)
def test_bad_limits_are_refused(core: Core, method: str, oid: int, text: str) -> None:
    error = core.fails(0, method, oid, "VM=[VMS=-3]" if oid else "VM=[VMS=1]")
    assert sentence(error) == (Code.ACTION, text)


def test_a_quota_template_that_does_not_parse_names_line_and_column(core: Core) -> None:
    error = core.fails(0, "one.group.quota", 1, "VM=[VMS")
    assert error.code is Code.ACTION
    assert "line 1" in error.message


def test_moving_keeps_the_count_of_whoever_stays() -> None:
    core, ann = cloud_with_ann()
    bob = core.user("bob", 1)
    usage = Usage().vm(vms=1)
    run(core, ann, lambda tx: quota.charge(tx, ann, 1, usage))
    core.call(0, "one.group.quota", 1, "VM=[VMS=0]")
    run(core, 0, lambda tx: quota.move(tx, (ann, 1), (bob, 1), usage))
    assert "VMS_USED><![CDATA[1]]" in used(core, bob)
    assert not core.state.user_quotas[ann]


def test_moving_to_somebody_at_the_limit_is_refused_and_counts_nothing() -> None:
    core, ann = cloud_with_ann()
    bob = core.user("bob", 1)
    core.call(0, "one.user.quota", bob, "VM=[VMS=0]")
    run(core, ann, lambda tx: quota.charge(tx, ann, 1, Usage().vm(vms=1)))
    before = core.picture()
    tx = core.transaction(core.caller(0))
    with pytest.raises(ApiError):
        quota.move(tx, (ann, 1), (bob, 1), Usage().vm(vms=1))
    assert core.picture() == before


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0, 2, 3]), st.sampled_from([0, 1]), st.integers(0, 5)), max_size=12)
)
def test_giving_everything_back_leaves_nothing(takings: list[tuple[int, int, int]]) -> None:
    core = Core()
    core.user("ann", 1), core.user("bob", 1)
    usages = [
        Usage().vm(vms=1, cpu=n / 7, memory=n).datastore(1, size=n).network(0, n) for _, _, n in takings
    ]

    def take(tx: Transaction) -> None:
        for (uid, gid, _), usage in zip(takings, usages, strict=True):
            quota.charge(tx, uid, gid, usage)

    def give(tx: Transaction) -> None:
        for (uid, gid, _), usage in zip(takings, usages, strict=True):
            quota.refund(tx, uid, gid, usage)

    run(core, 0, take)
    run(core, 0, give)
    assert not any(core.state.user_quotas.values())
    assert not any(core.state.group_quotas.values())


def test_defaults_of_groups_are_answered_as_they_are_then(core: Core) -> None:
    answered = core.call(0, "one.groupquota.update", "VM=[VMS=7]")
    assert "<VMS><![CDATA[7]]></VMS>" in answered
    assert core.call(0, "one.groupquota.info") == answered


def test_a_default_that_cannot_be_is_refused(core: Core) -> None:
    for name in ("one.userquota.update", "one.groupquota.update"):
        assert core.fails(0, name, "VM=[VMS=many]").code is Code.ACTION
