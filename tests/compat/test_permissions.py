"""Who may do what: bits, groups, their administrators, locks, masks, and actions moved between rights."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.compat.api import Api, sandbox_with
from tests.compat.conftest import Sandbox

from merope.model.errors import Code

VM = 'CPU="0.1"\nMEMORY="16"'
USE, MANAGE, ADMIN = range(3)
RIGHTS = ("use", "manage", "admin")
CLASSES = ("owner", "group", "other")
NO_BITS = (0,) * 9
GROUP_ONLY_USE = (1, 1, 0, 1, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class World:
    """ann (2) owns image 0 and VM 0 and is in users; gina (3) is in users too, olaf (4) in web."""

    one: Api
    who: dict[str, Api]


@pytest.fixture(scope="module")
def world(sandbox: Sandbox) -> Iterator[World]:
    with Api(sandbox.endpoint) as one:
        one("one.group.allocate", "web")
        one("one.host.allocate", "node0", "dummy", "dummy", -1)
        who = {"oneadmin": one}
        for name, group in (("ann", 1), ("gina", 1), ("olaf", 100)):
            one("one.user.allocate", name, "secret", "", [group])
            who[name] = one.as_user(name)
        who["ann"]("one.image.allocate", 'NAME="disk"\nTYPE="DATABLOCK"\nSIZE="10"', 1)
        who["ann"]("one.vm.allocate", f'NAME="vm"\n{VM}', True)
        one.until(
            lambda: one.info("image", 0), lambda found: found.findtext("STATE") == "1", "image 0 is ready"
        )
        yield World(one, who)
        for session in who.values():
            session.close()


#: What takes which right. A call that is let in may still be refused for another reason, and changes nothing.
CALLS: dict[str, tuple[tuple[int, str, tuple[Any, ...]], ...]] = {
    "image": (
        (USE, "one.image.info", (0,)),
        (MANAGE, "one.image.rename", (0, "disk")),
        (MANAGE, "one.image.update", (0, "", 1)),
        (MANAGE, "one.image.chown", (0, -1, -1)),
        (MANAGE, "one.image.chmod", (0, *(-1,) * 9)),
        (MANAGE, "one.image.persistent", (0, False)),
        (MANAGE, "one.image.chtype", (0, "nothing")),
        (MANAGE, "one.image.lock", (0, 9)),
    ),
    "vm": (
        (USE, "one.vm.info", (0,)),
        (USE, "one.vm.monitoring", (0,)),
        (MANAGE, "one.vm.rename", (0, "vm")),
        (MANAGE, "one.vm.update", (0, "", 1)),
        (MANAGE, "one.vm.chown", (0, -1, -1)),
        (MANAGE, "one.vm.chmod", (0, *(-1,) * 9)),
        (MANAGE, "one.vm.action", ("hold", 0)),
        (MANAGE, "one.vm.action", ("poweroff-hard", 0)),
        (MANAGE, "one.vm.resize", (0, "", True)),
        (MANAGE, "one.vm.updateconf", (0, "")),
        (MANAGE, "one.vm.lock", (0, 9)),
        (ADMIN, "one.vm.action", ("resched", 0)),
        (ADMIN, "one.vm.recover", (0, 0)),
        (ADMIN, "one.vm.recover", (0, 2)),
        (ADMIN, "one.vm.migrate", (0, 0, False)),
    ),
}  # fmt: skip

#: User → the classes of bits that count for her.
COUNT = {"ann": CLASSES, "gina": ("group", "other"), "olaf": ("other",)}


def let_in(who: Api, method: str, *arguments: Any) -> bool:
    """Whether the caller has the right, whatever comes of the call."""
    answer = who.ask(method, *arguments)
    return bool(answer[0]) or answer[2] != Code.AUTHORIZATION


@pytest.mark.parametrize("kind", ["image", "vm"])
@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("of", CLASSES)
def test_a_bit_grants_its_right_to_its_class_and_nothing_else(
    world: World, kind: str, of: str, right: str
) -> None:
    bits = list(NO_BITS)
    bits[3 * CLASSES.index(of) + RIGHTS.index(right)] = 1
    world.one(f"one.{kind}.chmod", 0, *bits)
    # Migrating takes a right on the host too, which is not what this is about.
    rule = world.one("one.acl.addrule", "400000000", "2400000000", "2")
    for user, classes in COUNT.items():
        for wanted, method, arguments in CALLS[kind]:
            granted = of in classes and RIGHTS.index(right) == wanted
            assert let_in(world.who[user], method, *arguments) is granted, (user, method, arguments)
    world.one("one.acl.delrule", rule)
    world.one(f"one.{kind}.chmod", 0, 1, 1, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("kind", ["image", "vm"])
def test_an_administrator_needs_no_bit(world: World, kind: str) -> None:
    world.one(f"one.{kind}.chmod", 0, *NO_BITS)
    for _, method, arguments in CALLS[kind]:
        assert let_in(world.one, method, *arguments), method
    world.one(f"one.{kind}.chmod", 0, 1, 1, 0, 0, 0, 0, 0, 0, 0)


def test_admin_bits_are_changed_with_the_right_to_administer(world: World) -> None:
    ann = world.who["ann"]
    assert not let_in(ann, "one.vm.chmod", 0, -1, -1, 1, *(-1,) * 6)
    world.one("one.vm.chmod", 0, 1, 1, 1, 0, 0, 0, 0, 0, 0)
    assert let_in(ann, "one.vm.chmod", 0, -1, -1, -1, -1, -1, 1, -1, -1, -1)
    permissions = world.one.info("vm", 0).find("PERMISSIONS")
    assert permissions is not None
    assert [int(bit.text or "") for bit in permissions] == [1, 1, 1, 0, 0, 1, 0, 0, 0]
    world.one("one.vm.chmod", 0, 1, 1, 0, 0, 0, 0, 0, 0, 0)


#: Level of a lock → the rights that it refuses, to administrators too.
REFUSED = {1: {USE, MANAGE, ADMIN}, 2: {MANAGE, ADMIN}, 3: {ADMIN}, 4: {ADMIN}}
#: What a lock never refuses: reading, and the lock itself.
NEVER = ("one.image.info", "one.vm.info", "one.vm.monitoring", "one.image.lock", "one.vm.lock")


@pytest.mark.parametrize("level", sorted(REFUSED))
@pytest.mark.parametrize("kind", ["image", "vm"])
@pytest.mark.parametrize("user", ["ann", "oneadmin"])
def test_a_lock_refuses_from_its_level_up(world: World, kind: str, level: int, user: str) -> None:
    world.one(f"one.{kind}.chmod", 0, 1, 1, 1, 0, 0, 0, 0, 0, 0)
    world.who["ann"](f"one.{kind}.lock", 0, level)
    rule = world.one("one.acl.addrule", "400000000", "2400000000", "2")
    for right, method, arguments in CALLS[kind]:
        granted = method in NEVER or right not in REFUSED[level]
        assert let_in(world.who[user], method, *arguments) is granted, (method, arguments)
    world.one("one.acl.delrule", rule)
    world.who["ann"](f"one.{kind}.unlock", 0)
    world.one(f"one.{kind}.chmod", 0, 1, 1, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("level", sorted(REFUSED))
def test_using_a_locked_image_is_refused_at_level_one_alone(world: World, level: int) -> None:
    ann = world.who["ann"]
    ann("one.image.lock", 0, level)
    answer = ann.ask("one.vm.allocate", f'{VM}\nDISK=[IMAGE_ID="0"]', True)
    assert bool(answer[0]) is (level > 1)
    if answer[0]:
        ann("one.vm.action", "terminate", answer[1])
    ann("one.image.unlock", 0)


@pytest.mark.parametrize("level", sorted(REFUSED))
def test_a_locked_image_is_not_deleted(world: World, level: int) -> None:
    image = world.one("one.image.allocate", f'NAME="short-{level}"\nTYPE="DATABLOCK"\nSIZE="1"', 1)
    world.one.until(
        lambda: world.one.info("image", image),
        lambda found: found.findtext("STATE") == "1",
        "the image is ready",
    )
    world.one("one.image.lock", image, level)
    assert world.one.refused("one.image.delete", image).code == Code.AUTHORIZATION
    world.one("one.image.unlock", image)
    world.one("one.image.delete", image)


def _octal(who: Api, kind: str, oid: int) -> str:
    permissions = who.info(kind, oid).find("PERMISSIONS")
    assert permissions is not None
    bits = [int(bit.text or "") for bit in permissions]
    return "".join(
        str(4 * use + 2 * manage + admin) for use, manage, admin in zip(*[iter(bits)] * 3, strict=True)
    )


@pytest.mark.parametrize(
    ("user", "mask", "mode"),
    [
        ("ann", "", "600"),
        ("ann", "137", "640"),
        ("ann", "117", "660"),
        ("ann", "000", "666"),
        ("ann", "777", "000"),
        ("ann", "rubbish", "600"),
        ("oneadmin", "", "600"),
        ("oneadmin", "077", "700"),
        ("oneadmin", "022", "755"),
    ],
)
def test_new_objects_have_the_bits_that_the_mask_leaves(
    world: World, user: str, mask: str, mode: str
) -> None:
    who = world.who[user]
    uid = 2 if user == "ann" else 0
    name = f'NAME="{user}-{mask}"'
    if mask:
        world.one("one.user.update", uid, f'UMASK="{mask}"', 1)
    template = who("one.template.allocate", name)
    vm = who("one.vm.allocate", VM, True)
    assert _octal(world.one, "template", template) == mode
    assert _octal(world.one, "vm", vm) == mode
    world.one("one.vm.action", "terminate", vm)
    world.one("one.user.update", uid, "", 0)


def test_an_action_is_moved_by_the_user_the_group_and_the_configuration_in_that_order(world: World) -> None:
    one, ann = world.one, world.who["ann"]
    resched, hold = ("one.vm.action", "resched", 0), ("one.vm.action", "hold", 0)
    assert not let_in(ann, *resched)
    one("one.group.update", 1, 'VM_MANAGE_OPERATIONS="resched"\nVM_ADMIN_OPERATIONS="hold"', 1)
    assert let_in(ann, *resched)
    assert not let_in(ann, *hold)
    one("one.user.update", 2, 'VM_ADMIN_OPERATIONS="resched"\nVM_USE_OPERATIONS="hold"', 1)
    assert not let_in(ann, *resched)
    assert let_in(ann, *hold)
    one("one.user.update", 2, "", 0)
    one("one.group.update", 1, "", 0)
    assert not let_in(ann, *resched)
    assert let_in(ann, *hold)


def test_an_action_that_takes_the_right_to_use_is_open_to_who_may_use(world: World) -> None:
    gina = world.who["gina"]
    world.one("one.vm.chmod", 0, *GROUP_ONLY_USE)
    assert not let_in(gina, "one.vm.action", "hold", 0)
    world.one("one.user.update", 3, 'VM_USE_OPERATIONS="hold, poweroff"', 1)
    assert let_in(gina, "one.vm.action", "hold", 0)
    assert let_in(gina, "one.vm.action", "poweroff-hard", 0)
    assert not let_in(gina, "one.vm.action", "terminate", 0)
    world.one("one.user.update", 3, "", 0)
    world.one("one.vm.chmod", 0, 1, 1, 0, 0, 0, 0, 0, 0, 0)


def test_the_configuration_moves_actions_masks_and_bits_for_others(tmp_path: Path) -> None:
    config = (
        'VM_ADMIN_OPERATIONS = "hold"\nVM_MANAGE_OPERATIONS = "resched"\nVM_USE_OPERATIONS = ""\n'
        'DEFAULT_UMASK = 133\nENABLE_OTHER_PERMISSIONS = "NO"\n'
    )
    with sandbox_with(tmp_path / "home", config) as endpoint, Api(endpoint) as one:
        one("one.user.allocate", "ann", "secret", "", [1])
        with one.as_user("ann") as ann:
            vm = ann("one.vm.allocate", VM, True)
            assert not let_in(ann, "one.vm.action", "hold", vm)
            assert let_in(ann, "one.vm.action", "resched", vm)
            assert _octal(ann, "vm", vm) == "640"
            found = ann.refused("one.vm.chmod", vm, *(-1,) * 6, 1, -1, -1)
            assert found.message == "'other' permissions is disabled in oned.conf"
            one("one.vm.chmod", vm, *(-1,) * 6, 1, -1, -1)


def test_an_administrator_of_a_group_manages_its_members_and_what_is_theirs(world: World) -> None:
    one, gina = world.one, world.who["gina"]
    one("one.group.addadmin", 1, 3)
    assert let_in(gina, "one.image.info", 0)
    assert let_in(gina, "one.image.rename", 0, "disk")
    assert not let_in(gina, "one.vm.action", "resched", 0)
    assert let_in(gina, "one.user.info", 2)
    new = gina("one.user.allocate", "newcomer", "secret", "", [1])
    assert one.info("user", new).findtext("GID") == "1"
    assert not let_in(gina, "one.user.allocate", "other", "secret", "", [100])
    assert not let_in(gina, "one.user.info", 4)
    gina("one.user.passwd", new, "another")
    gina("one.user.delete", new)
    one("one.group.deladmin", 1, 3)
    assert not let_in(gina, "one.image.info", 0)
    assert not let_in(gina, "one.user.info", 2)


def test_a_token_for_one_group_has_that_groups_rights_only(world: World) -> None:
    one = world.one
    both = one("one.user.allocate", "both", "secret", "", [100, 1])
    token = one("one.user.login", "both", "", 3600, 1)
    with one.as_user("both", token) as narrow, one.as_user("both") as wide:
        template = narrow("one.template.allocate", 'NAME="narrow"')
        assert one.info("template", template).findtext("GID") == "1"
        assert narrow.ids("one.grouppool.info") == [1]
        assert wide.ids("one.grouppool.info") == [100, 1]
    one("one.user.login", "both", token, 0)
    one("one.template.delete", template)
    one("one.user.delete", both)
