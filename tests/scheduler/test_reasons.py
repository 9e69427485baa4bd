"""The sentences that tell why a VM waits."""

import pytest

from merope.scheduler.reasons import Code, Reason, explain, shortages, size, tally

MB, GB = 1024, 1024**2  # in KB


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_sentence(code: Code) -> None:
    assert explain([Reason(code, 2, "detail")])


def test_a_headline_stands_alone() -> None:
    assert explain([Reason(Code.NO_HOSTS)]) == "No hosts enabled to run VMs"


def test_what_excluded_hosts_follows_the_headline() -> None:
    reasons = [
        Reason(Code.NO_CAPACITY),
        Reason(Code.HOST_MEMORY, 12, missing_memory=2 * GB),
        Reason(Code.HOST_CPU, 1, missing_cpu=150),
        Reason(Code.HOST_CPU_AND_MEMORY, 3, missing_cpu=50, missing_memory=512 * MB),
    ]
    assert explain(reasons) == (
        "No host with enough capacity to deploy the VM. 12 hosts lack memory (the nearest 2 GB), "
        "1 host lacks 1.5 CPU, 3 hosts lack CPU and memory (the nearest 0.5 CPU and 512 MB)"
    )


def test_a_sentence_that_ends_with_a_stop_gets_no_second_one() -> None:
    text = explain([Reason(Code.NOT_DISPATCHED), Reason(Code.HOST_LIMIT, 1)])
    assert text.endswith("or limit of free leases reached. 1 host got MAX_HOST VMs in this round")


def test_text_of_users_is_no_format() -> None:
    assert explain([Reason(Code.NO_MATCH, detail="A = {nearest} {0} {")]).endswith(": A = {nearest} {0} {")


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (0, "KB", "0 KB"),
        (1, "KB", "1 KB"),
        (1023, "KB", "1023 KB"),
        (1024, "KB", "1 MB"),
        (1536, "KB", "1.5 MB"),
        (2 * GB, "KB", "2 GB"),
        (3000, "MB", "2.9 GB"),
        (10**7, "MB", "9.5 TB"),
        (10**10, "MB", "9536.7 TB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_people_use(amount: int, unit: str, text: str) -> None:
    assert size(amount, unit) == text


def test_the_nearest_is_the_one_that_lacks_least() -> None:
    found = list(shortages(200, 4 * GB, [(100, 9 * GB), (150, 9 * GB), (900, GB), (0, 0), (100, 3 * GB)]))
    assert found == [
        Reason(Code.HOST_CPU, 2, missing_cpu=50),
        Reason(Code.HOST_MEMORY, 1, missing_memory=3 * GB),
        Reason(Code.HOST_CPU_AND_MEMORY, 2, missing_cpu=100, missing_memory=GB),
    ]


def test_a_tally_has_the_most_frequent_first() -> None:
    found = [
        Reason(Code.DS_FULL, missing_disk=9),
        Reason(Code.DS_FORBIDDEN),
        Reason(Code.DS_FULL, missing_disk=4),
    ]
    assert tally(found) == [Reason(Code.DS_FULL, 2, missing_disk=4), Reason(Code.DS_FORBIDDEN, 1)]


def test_a_tally_adds_up_what_was_counted() -> None:
    assert tally([Reason(Code.HOST_CPU, 3, missing_cpu=5), Reason(Code.HOST_CPU, 4, missing_cpu=2)]) == [
        Reason(Code.HOST_CPU, 7, missing_cpu=2)
    ]
