"""Whatever is done with users and groups: both sides know of each other; who administers has the rules."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.core.conftest import Core

from merope.core import check_relations
from merope.model.errors import ApiError
from merope.model.group import Group
from merope.model.kinds import GROUP, USER
from merope.model.user import User

MANAGED = "VM+NET+IMAGE+TEMPLATE+DOCUMENT+SECGROUP+VROUTER+VMGROUP"
UID = st.integers(0, 6)
GID = st.sampled_from([0, 1, 100, 101, 102])


class Memberships(RuleBasedStateMachine):
    """oneadmin does everything; user 2 administers group 100 and does what it may."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core()
        self.count = 0
        for name in ("web", "lab"):
            self.core.call(0, "one.group.allocate", name)
        assert self.core.user("ann", 100) == 2
        self.core.user("bob", 1, 100)
        self.core.call(0, "one.group.addadmin", 100, 2)

    def attempt(self, name: str, *arguments: Any, who: int = 0) -> None:
        if who not in self.core.state.pool(USER).entries:
            return
        try:
            self.core.call(who, name, *arguments)
        except ApiError:
            return

    @rule(gids=st.lists(GID, max_size=3), who=st.sampled_from([0, 2]))
    def register(self, gids: list[int], who: int) -> None:
        self.count += 1
        self.attempt("one.user.allocate", f"u{self.count}", "pw", "core", gids, who=who)

    @rule(uid=UID, who=st.sampled_from([0, 2]))
    def delete_user(self, uid: int, who: int) -> None:
        self.attempt("one.user.delete", uid, who=who)

    @rule(uid=UID, gid=GID, verb=st.sampled_from(["chgrp", "addgroup", "delgroup"]))
    def move(self, uid: int, gid: int, verb: str) -> None:
        self.attempt(f"one.user.{verb}", uid, gid)

    @rule(uid=UID, gid=GID, verb=st.sampled_from(["addadmin", "addadmin", "deladmin"]))
    def appoint(self, uid: int, gid: int, verb: str) -> None:
        self.attempt(f"one.group.{verb}", gid, uid)

    @rule(name=st.sampled_from(["web", "lab", "more"]))
    def found(self, name: str) -> None:
        self.attempt("one.group.allocate", name)

    @rule(gid=GID)
    def dissolve(self, gid: int) -> None:
        self.attempt("one.group.delete", gid)

    @rule(uid=UID, gid=st.sampled_from([-1, 1, 100]))
    def log_in(self, uid: int, gid: int) -> None:
        if uid in self.core.state.pool(USER).entries:
            name = self.core.get(User, uid).name
            self.attempt("one.user.login", name, "", 3600, gid)

    @invariant()
    def both_sides_agree(self) -> None:
        found = [finding.sentence for finding in check_relations.memberships(self.core.state)]
        assert found == []

    @invariant()
    def who_administers_has_the_rules_and_nobody_else(self) -> None:
        expected = set()
        for gid in self.core.state.pool(GROUP).entries:
            for uid in self.core.get(Group, gid).admins:
                expected |= {
                    f"#{uid} USER/@{gid} USE+MANAGE+ADMIN+CREATE *",
                    f"#{uid} {MANAGED}/@{gid} USE+MANAGE *",
                }
        texts = {rule.to_string() for rule in self.core.state.rules}
        assert {text for text in texts if text.startswith("#")} == expected

    @invariant()
    def oneadmin_is_there_and_in_its_group(self) -> None:
        assert self.core.get(User, 0).gid == 0


TestMemberships = Memberships.TestCase
TestMemberships.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
