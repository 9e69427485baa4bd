"""The time zone of this machine."""

from datetime import datetime, timedelta

import pytest

from merope.daemon.local_time import local_zone


def offset(name: str) -> timedelta | None:
    return datetime(2026, 1, 1, tzinfo=local_zone(name)).utcoffset()


@pytest.mark.parametrize(("name", "hours"), [("UTC", 0), ("Europe/Madrid", 1), (":Asia/Tokyo", 9)])
def test_a_zone_is_known_by_its_name(name: str, hours: int) -> None:
    assert offset(name) == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["", "../etc/passwd", "no/such", "CET-1CEST"])
def test_what_names_no_zone_means_that_of_the_system(name: str) -> None:
    assert offset(name) == datetime(2026, 1, 1, tzinfo=local_zone("")).utcoffset()


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert datetime(2026, 1, 1, tzinfo=local_zone()).utcoffset() == timedelta(hours=9)
