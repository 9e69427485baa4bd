"""Logs: their end, and what is added to them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from merope.daemon import logs
from merope.daemon.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def following(*events: Callable[[], object]) -> Callable[[], None]:
    """A pause in which the next event happens; after the last the user presses ^C."""
    coming: Iterator[Callable[[], object]] = iter(events)

    def pause() -> None:
        event = next(coming, None)
        if event is None:
            raise KeyboardInterrupt
        event()

    return pause


def add(path: Path, text: str) -> Callable[[], object]:
    def write() -> None:
        with path.open("a") as file:
            file.write(text)

    return write


def test_the_last_lines_are_shown_of_a_log_of_any_length(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    layout.log("core").write_text("".join(f"line {n} {'x' * 100}\n" for n in range(5000)))
    logs.show(layout, "core", 3, follow=False)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["4997", "4998", "4999"]


def test_no_lines_are_shown_where_none_are_asked_for(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    layout.log("core").write_text("old\n")
    logs.show(layout, "core", 0, follow=False)
    assert capsys.readouterr().out == ""


def test_following_shows_whole_lines_as_they_come(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    log = layout.log("core")
    log.write_text("one\n")
    pause = following(add(log, "two\nthr"), add(log, "ee\n"))
    with pytest.raises(KeyboardInterrupt):
        logs.show(layout, "core", 10, follow=True, pause=pause)
    assert capsys.readouterr().out.splitlines() == ["one", "two", "three"]


def test_following_goes_on_in_the_file_that_replaces_the_log(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    log = layout.log("core")
    log.write_text("one\n")

    def rotate() -> None:
        add(log, "two\n")()
        log.rename(log.with_suffix(".log.1"))

    with pytest.raises(KeyboardInterrupt):
        logs.show(layout, "core", 10, follow=True, pause=following(rotate, add(log, "three\n")))
    assert capsys.readouterr().out.splitlines() == ["one", "two", "three"]


def test_following_goes_on_when_the_log_is_cut(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    log = layout.log("core")
    log.write_text("a long first line\n")
    with pytest.raises(KeyboardInterrupt):
        logs.show(layout, "core", 10, follow=True, pause=following(lambda: log.write_text("two\n")))
    assert capsys.readouterr().out.splitlines() == ["a long first line", "two"]


def test_following_waits_for_a_log_that_is_not_there_yet(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        logs.show(layout, "core", 10, follow=True, pause=following(add(layout.log("core"), "one\n")))
    assert capsys.readouterr().out.splitlines() == ["one"]


def test_bytes_that_are_no_text_are_shown_all_the_same(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    layout.log("core").write_bytes(b"caf\xff\n")
    logs.show(layout, "core", 10, follow=False)
    assert capsys.readouterr().out == "caf�\n"
