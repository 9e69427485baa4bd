"""How it is found which tests show what a method does."""

from tests.method_tests import ANSWERS, REFUSES, Shown, stale, updated

FILE = "tests/core/test_vm.py"
OTHER = "tests/core/test_host.py"
CALLS = {
    (f"{FILE}::test_a_vm_is_made", "one.vm.allocate", ANSWERS),
    (f"{FILE}::test_what_allocate_gives", "one.vm.allocate", ANSWERS),
    (f"{OTHER}::test_allocate_first", "one.vm.allocate", ANSWERS),
    (f"{OTHER}::test_a_host", "one.host.info", REFUSES),
}


def test_the_test_is_of_the_file_that_calls_the_method_most_and_named_after_it() -> None:
    found = updated({}, CALLS, ["one.vm.allocate"], "1.0")
    assert found == {"one.vm.allocate": Shown("1.0", f"{FILE}::test_what_allocate_gives", "")}


def test_a_method_keeps_the_release_that_it_came_with() -> None:
    known = {"one.host.info": Shown("0.1"), "one.gone": Shown("0.1")}
    found = updated(known, CALLS, ["one.host.info", "one.vm.allocate"], "1.0")
    assert {name: shown.since for name, shown in found.items()} == {
        "one.host.info": "0.1",
        "one.vm.allocate": "1.0",
    }
    assert found["one.host.info"].refuses == f"{OTHER}::test_a_host"


def test_a_line_is_stale_when_its_test_ran_and_shows_it_no_more() -> None:
    test = f"{OTHER}::test_a_host"
    known = {"one.host.info": Shown("0.1", test, test)}
    assert stale(known, CALLS, {test}) == [f"{test} does not show that one.host.info answers"]
    assert stale(known, CALLS, set()) == []
