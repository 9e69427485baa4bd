"""What pools list: for whom, of whom, which ids, which states, in which order."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.compat.api import Api
from tests.compat.conftest import Sandbox

ALL, MINE, GROUP, MINE_AND_GROUPS = -2, -3, -4, -1
ANY_STATE, NOT_DONE = -2, -1
VM = 'CPU="0.1"\nMEMORY="16"'
OWNER_ONLY = (1, 1, 0, 0, 0, 0, 0, 0, 0)
GROUP_TOO = (1, 1, 0, 1, 0, 0, 0, 0, 0)
OTHERS_TOO = (1, 1, 0, 1, 0, 0, 1, 0, 0)


@dataclass(frozen=True)
class World:
    """Templates 0…5 and who may see them: ann's 0 (private), 1 (group), 2 (others), bob's 3 (private) and
    4 (group web), carol's 5 (others). ann is in users, bob in web, carol in web and users."""

    one: Api
    ann: Api
    bob: Api
    carol: Api


@pytest.fixture(scope="module")
def world(sandbox: Sandbox) -> Iterator[World]:
    with Api(sandbox.endpoint) as one:
        assert one("one.group.allocate", "web") == 100
        for name, groups in (("ann", [1]), ("bob", [100]), ("carol", [100, 1])):
            one("one.user.allocate", name, "secret", "", groups)
        one("one.acl.addrule", "200000064", "20400000000", "8")
        with one.as_user("ann") as ann, one.as_user("bob") as bob, one.as_user("carol") as carol:
            made = World(one, ann, bob, carol)
            for oid, (owner, bits) in enumerate(
                (
                    (ann, OWNER_ONLY),
                    (ann, GROUP_TOO),
                    (ann, OTHERS_TOO),
                    (bob, OWNER_ONLY),
                    (bob, GROUP_TOO),
                    (carol, OTHERS_TOO),
                )
            ):
                assert owner("one.template.allocate", f'NAME="t{oid}"\n{VM}') == oid
                owner("one.template.chmod", oid, *bits)
            yield made


def templates(who: Api, flag: int = ALL, start: int = -1, end: int = -1) -> list[int]:
    return who.ids("one.templatepool.info", flag, start, end)


@pytest.mark.parametrize(
    ("who", "flag", "seen"),
    [
        ("one", ALL, [5, 4, 3, 2, 1, 0]),
        ("one", MINE, []),
        ("one", 2, [2, 1, 0]),
        ("ann", ALL, [5, 2, 1, 0]),
        ("ann", MINE, [2, 1, 0]),
        ("ann", GROUP, [2, 1, 0]),
        ("ann", MINE_AND_GROUPS, [2, 1, 0]),
        ("ann", 4, [5]),
        ("ann", 3, []),
        ("bob", ALL, [5, 4, 3, 2]),
        ("bob", MINE, [4, 3]),
        ("bob", GROUP, [5, 4, 3]),
        ("bob", MINE_AND_GROUPS, [5, 4, 3]),
        ("carol", ALL, [5, 4, 2, 1]),
        ("carol", MINE, [5]),
        ("carol", GROUP, [5, 4]),
        ("carol", MINE_AND_GROUPS, [5, 4, 2, 1]),
        ("carol", 2, [2, 1]),
    ],
)
def test_a_filter_lists_what_it_names_of_what_may_be_used(
    world: World, who: str, flag: int, seen: list[int]
) -> None:
    assert templates(getattr(world, who), flag) == seen


@pytest.mark.parametrize(
    ("start", "end", "seen"),
    [
        (2, 4, [4, 3, 2]),
        (4, -1, [5, 4]),
        (-1, 1, [1, 0]),
        (3, 3, [3]),
        (40, 50, []),
        (4, 2, []),
        (0, -2, [5, 4]),
        (2, -3, [3, 2, 1]),
        (5, -10, [0]),
        (6, -2, []),
        (-1, -2, [5, 4]),
    ],
)
def test_a_range_of_ids_or_a_page(world: World, start: int, end: int, seen: list[int]) -> None:
    assert templates(world.one, ALL, start, end) == seen


def test_a_page_counts_only_what_may_be_seen(world: World) -> None:
    assert templates(world.ann, ALL, 0, -2) == [5, 2]
    assert templates(world.ann, ALL, 2, -2) == [1, 0]


def test_the_order_is_the_users_the_groups_or_the_clouds(world: World) -> None:
    world.one("one.group.update", 1, 'OPENNEBULA=[API_LIST_ORDER="ASC"]', 1)
    assert templates(world.ann) == [0, 1, 2, 5]
    world.ann("one.user.update", 2, 'OPENNEBULA=[API_LIST_ORDER="DESC"]', 1)
    assert templates(world.ann) == [5, 2, 1, 0]
    world.ann("one.user.update", 2, "", 0)
    world.one("one.group.update", 1, "", 0)
    assert templates(world.ann) == [5, 2, 1, 0]


@pytest.mark.parametrize(
    ("user", "resource", "zone", "more"),
    [
        ("100000002", "20100000003", "", [3]),
        ("100000002", "20200000064", "", [4, 3]),
        ("100000002", "20400000000", "", [4, 3]),
        ("200000001", "20100000004", "", [4]),
        ("400000000", "20100000004", "", [4]),
        ("100000002", "20200000064", "400000000", [4, 3]),
        ("100000002", "20100000003", "100000009", []),
        ("100000003", "20100000000", "", []),
        ("100000002", "8100000003", "", []),
    ],
    ids="ann-on-#3 ann-on-@100 ann-on-* users-on-#4 all-on-#4 every-zone elsewhere of-bob image".split(),
)
def test_a_rule_shows_what_it_is_about(
    world: World, user: str, resource: str, zone: str, more: list[int]
) -> None:
    rule = world.one("one.acl.addrule", user, resource, "1", *([zone] if zone else []))
    assert templates(world.ann) == sorted([5, 2, 1, 0, *more], reverse=True)
    world.one("one.acl.delrule", rule)
    assert templates(world.ann) == [5, 2, 1, 0]


def test_a_rule_that_grants_something_else_shows_nothing(world: World) -> None:
    rule = world.one("one.acl.addrule", "100000002", "20400000000", "2")
    assert templates(world.ann) == [5, 2, 1, 0]
    world.one("one.acl.delrule", rule)


def test_a_rule_on_a_cluster_shows_what_is_in_it_but_no_reservation(world: World) -> None:
    one, dave = world.one, world.one.as_user("dave")
    one("one.group.allocate", "apart")
    one("one.vdc.delgroup", 0, 101)
    one("one.user.allocate", "dave", "secret", "", [101])
    assert one("one.cluster.allocate", "edge") == 100
    network = 'VN_MAD="dummy"\nBRIDGE="br0"\nAR=[TYPE="IP4",IP="10.0.0.1",SIZE="9"]'
    inside = one("one.vn.allocate", f'NAME="inside"\n{network}', 100)
    outside = one("one.vn.allocate", f'NAME="outside"\n{network}', 0)
    part = one("one.vn.reserve", inside, 'NAME="part"\nSIZE="2"')
    seen = ("one.vnpool.info", ALL, -1, -1)
    assert dave.ids(*seen) == []
    rule = one("one.acl.addrule", "200000065", "4800000064", "1")
    assert dave.ids(*seen) == [inside]
    one("one.acl.delrule", rule)
    rule = one("one.acl.addrule", "200000065", "4400000000", "1")
    assert dave.ids(*seen) == [outside, inside]
    one("one.acl.delrule", rule)
    rule = one("one.acl.addrule", "200000065", f"41{part:08x}", "1")
    assert dave.ids(*seen) == [part]
    one("one.acl.delrule", rule)
    dave.close()


def test_vms_are_listed_by_state(world: World) -> None:
    one = world.one
    held, pending, gone = (one("one.vm.allocate", VM, hold) for hold in (True, False, True))
    one("one.vm.action", "terminate", gone)
    states = {
        ANY_STATE: [gone, pending, held],
        NOT_DONE: [pending, held],
        1: [pending],
        2: [held],
        6: [gone],
        3: [],
    }
    for state, seen in states.items():
        for method in ("one.vmpool.info", "one.vmpool.infoextended"):
            assert one.ids(method, ALL, -1, -1, state) == seen
    assert one.ids("one.vmpool.info", ALL, gone, gone, ANY_STATE) == [gone]
    assert one.ids("one.vmpool.info", ALL, 0, -2, ANY_STATE) == [gone, pending]
    assert one.ids("one.vmpool.info", 2, -1, -1, ANY_STATE) == []


def test_users_and_groups_are_seen_by_themselves_their_members_and_rules(world: World) -> None:
    assert world.ann.ids("one.userpool.info") == [2]
    assert world.carol.ids("one.grouppool.info") == [100, 1]
    rule = world.one("one.acl.addrule", "100000002", "10200000064", "1")
    assert world.ann.ids("one.userpool.info") == [4, 3, 2]
    world.one("one.acl.delrule", rule)
    assert world.one.ids("one.userpool.info")[-1] == 0


def test_an_empty_pool_is_an_empty_element(world: World) -> None:
    assert world.bob("one.vmpool.info", MINE, -1, -1, NOT_DONE) == "<VM_POOL/>"
    assert world.bob("one.imagepool.info", ALL, -1, -1) == "<IMAGE_POOL/>"
