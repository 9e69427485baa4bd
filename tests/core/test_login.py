"""Logging in: everything about a session but the key derivation."""

import pytest
from tests.core.conftest import Core

from merope.core import login
from merope.core.login import Step, Verdict
from merope.model import passwords
from merope.model.errors import Code


def check(core: Core, name: str, secret: str) -> Verdict:
    return login.check_credentials(core.state, core.now, name, secret, core.settings)


def test_a_password_is_left_to_be_verified(core: Core) -> None:
    verdict = check(core, "oneadmin", "opennebula")
    assert (verdict.step, verdict.uid, verdict.driver) == (Step.VERIFY, 0, "core")
    assert passwords.verify(verdict.stored, verdict.secret)


def test_an_unknown_name_takes_the_same_time_and_never_matches(core: Core) -> None:
    verdict = check(core, "nobody", "opennebula")
    known = check(core, "oneadmin", "wrong")
    assert (verdict.step, verdict.uid) == (Step.VERIFY, -1)
    assert not passwords.verify(verdict.stored, verdict.secret)
    assert verdict.stored.split("$")[:3] == known.stored.split("$")[:3]


def test_a_token_is_granted_until_it_ends(core: Core) -> None:
    ann = core.user("ann")
    token = core.call(ann, "one.user.login", "ann", "", 60, 1)
    assert check(core, "ann", token) == Verdict(Step.GRANTED, ann, 1, holder=ann)
    core.now += 60
    assert check(core, "ann", token).step is Step.DENIED


def test_secrets_show_in_no_text_of_a_verdict(core: Core) -> None:
    text = repr(check(core, "oneadmin", "opennebula"))
    assert "opennebula" not in text
    assert "scrypt" not in text


@pytest.mark.parametrize("secret", ["", "ann"])
def test_public_users_do_not_log_in(core: Core, secret: str) -> None:
    core.call(0, "one.user.allocate", "ann", "ann", "public", [1])
    assert check(core, "ann", secret).step is Step.DENIED


def test_an_empty_secret_is_denied(core: Core) -> None:
    assert check(core, "oneadmin", "").step is Step.DENIED


def test_users_of_other_drivers_are_left_to_these(core: Core) -> None:
    ann = core.call(0, "one.user.allocate", "ann", "dn", "ldap", [1])
    verdict = check(core, "ann", "secret")
    assert (verdict.step, verdict.uid, verdict.driver) == (Step.DRIVER, ann, "ldap")
    assert (verdict.name, verdict.stored, verdict.secret) == ("ann", "dn", "secret")


def test_a_service_acts_for_the_user_that_it_names(core: Core) -> None:
    ann = core.user("ann")
    verdict = check(core, "serveradmin", "ann:signed")
    assert (verdict.step, verdict.uid, verdict.holder) == (Step.DRIVER, ann, 1)
    assert (verdict.driver, verdict.name, verdict.target) == ("server_cipher", "serveradmin", "ann")
    assert verdict.secret == "signed"
    limited = check(core, "serveradmin", "ann:1:signed")
    assert (limited.uid, limited.egid, limited.target, limited.secret) == (ann, 1, "ann", "signed")


@pytest.mark.parametrize(
    "secret", ["ann:", "ann", "nobody:signed", "ann:0:signed", "ann:x:signed", ":signed"]
)
def test_a_service_does_not_act_for_whom_there_is_not(core: Core, secret: str) -> None:
    core.user("ann")
    assert check(core, "serveradmin", secret).step is Step.DENIED


def test_the_caller_acts_for_all_groups_of_the_user(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    caller = core.caller(core.user("ann", 1, gid))
    assert (caller.name, caller.gid, caller.group_name) == ("ann", 1, "users")
    assert caller.groups == {1, gid}
    assert not caller.is_admin


def test_a_session_for_one_group_acts_for_that_one(core: Core) -> None:
    gid = core.call(0, "one.group.allocate", "web")
    ann = core.user("ann", 1, gid)
    caller = login.caller(core.state, core.settings, ann, gid)
    assert caller is not None
    assert (caller.gid, caller.group_name, caller.groups) == (gid, "web", frozenset({gid}))
    core.call(0, "one.user.delgroup", ann, gid)
    assert login.caller(core.state, core.settings, ann, gid) is None


def test_members_of_oneadmin_are_administrators_unless_limited_to_another_group(core: Core) -> None:
    ann = core.user("ann", 0, 1)
    assert core.caller(ann).is_admin
    limited = login.caller(core.state, core.settings, ann, 1)
    assert limited is not None
    assert not limited.is_admin


@pytest.mark.parametrize(("stated", "umask"), [("", 0o177), ("137", 0o137), ("9", 0o177), ("0777", 0o177)])
def test_the_umask_is_the_users_or_else_the_clouds(core: Core, stated: str, umask: int) -> None:
    ann = core.user("ann")
    core.call(ann, "one.user.update", ann, f'UMASK="{stated}"', 1)
    assert core.caller(ann).umask == umask


def test_a_deleted_user_is_nobody(core: Core) -> None:
    ann = core.user("ann")
    core.call(0, "one.user.delete", ann)
    assert login.caller(core.state, core.settings, ann) is None


def test_the_refusal_says_what_the_original_says() -> None:
    error = login.not_authenticated()
    assert (error.code, error.message) == (
        Code.AUTHENTICATION,
        "User couldn't be authenticated, aborting call.",
    )
