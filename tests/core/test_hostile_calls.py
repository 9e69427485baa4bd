"""Random calls on a core in memory: a refused one changes nothing, and whatever is counted stays right.

What the tests of the whole cloud see through the API is seen here as it is stored and kept, after each call.
MEROPE_HOSTILE_SECONDS makes it longer (default: a few seconds), MEROPE_HOSTILE_SEED makes other calls.
"""

import os
import random
import time

from tests.compat.hostile_templates import Templates, make_world
from tests.core.core_client import Attacked, CoreClient, settle
from tests.core.vm_world import check

from merope.core.methods import METHODS

SECONDS = float(os.environ.get("MEROPE_HOSTILE_SECONDS", "4"))
SEED = int(os.environ.get("MEROPE_HOSTILE_SEED", "1"))
RENEWED = 400
#: By force they take ranges away whose addresses are in use, which is then what no recount agrees with.
FORCED = ("one.vn.rm_ar", "one.vn.free_ar")


def test_random_calls_that_are_refused_change_nothing_and_all_counts_stay_right() -> None:
    rng = random.Random(SEED)
    until, refused = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        refused += attack(rng, until)
    assert refused


def attack(rng: random.Random, until: float) -> int:
    """How many of the calls on one cloud were refused."""
    cloud = Attacked()
    admin = CoreClient(cloud, 0, "oneadmin:opennebula")
    world = make_world(admin, "hostile", lambda: settle(cloud))
    made: list[str] = []
    refused = 0
    before = cloud.picture()

    def enough() -> bool:
        return len(made) >= RENEWED or time.monotonic() > until

    for client, method, arguments in Templates(rng, world).calls(admin, enough):
        if method in FORCED:
            arguments[-1] = False
        made.append(f"seed {SEED}: {client.auth} {method} {arguments!r}")
        answer = client.call(method, *arguments)
        after = cloud.picture()
        assert after["pools"] == after["parsed"], made[-1]
        refused += not answer.success
        if answer.success and not METHODS[method].read_only:
            _check(cloud, made[-1])
            if rng.random() < 0.5:
                settle(cloud)
            after = cloud.picture()
        else:
            assert after == before, made[-1]
        before = after
    return refused


def _check(cloud: Attacked, call: str) -> None:
    try:
        check(cloud)
    except AssertionError as error:
        raise AssertionError(call) from error
