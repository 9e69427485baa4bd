"""ft/host_error: the options of 5.12, and one order for each failure, however often it runs."""

import base64

import pytest
from tests.cli.recorded import Answer, Call, FakeCloud

from merope.cli import host_error
from merope.client import Client, OneError

DOCUMENT = "<HOST><ID>7</ID><NAME>node7</NAME><STATE>{}</STATE><TEMPLATE>{}</TEMPLATE></HOST>"
IN_ERROR = DOCUMENT.format(3, "")
WORD = base64.b64encode(IN_ERROR.encode()).decode()


def run(
    monkeypatch: pytest.MonkeyPatch, *words: str, now: str = IN_ERROR, answer: Answer = 7
) -> tuple[int, list[Call]]:
    """The exit status, and what was asked of the cloud; `now` is the host as it is now."""
    cloud = FakeCloud({"one.host.info": now, "one.host.recover": answer})
    monkeypatch.setattr(host_error, "_client", lambda: Client("http://cloud/RPC2", "a:b", cloud))
    return host_error.main(words), cloud.calls


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (("-m", "-p", "5"), ("migrate", False, 5, True)),
        (("-m",), ("migrate", False, 2, True)),
        (("-r", "-f"), ("recreate", True, 2, True)),
        (("-d", "-p", "0"), ("delete", False, 0, True)),
        (("-m", "-u"), ("migrate", False, 2, False)),
        (("--migrate", "--force", "--pause", "3", "--no-fencing"), ("migrate", True, 3, False)),
    ],
)
def test_the_options_of_5_12_become_an_order(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], order: tuple[object, ...]
) -> None:
    code, calls = run(monkeypatch, WORD, *words)
    assert code == 0
    assert calls[-1] == ("one.host.recover", (7, *order))


def test_the_host_may_be_given_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    _, calls = run(monkeypatch, "7", "-m")
    assert calls[-1][1][0] == 7


@pytest.mark.parametrize(
    "now", [DOCUMENT.format(2, ""), DOCUMENT.format(3, "<FAILURE><STAGE>RETURNED</STAGE></FAILURE>")]
)
def test_a_host_that_is_back_needs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], now: str
) -> None:
    code, calls = run(monkeypatch, WORD, "-m", now=now)
    assert (code, [name for name, _ in calls]) == (0, ["one.host.info"])
    assert "not in ERROR any more" in capsys.readouterr().out


def test_what_the_cloud_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(monkeypatch, WORD, "-m", answer=OneError(2048, "Host 7 is being switched off", 7))
    assert code == 1
    assert "Host 7 is being switched off" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "required"),
        ((WORD,), "one of the arguments -m/--migrate -r/--recreate -d/--delete is required"),
        ((WORD, "-m", "-d"), "not allowed with"),
        ((WORD, "-m", "-p", "soon"), "expected a number of cycles"),
        (("x!", "-m"), "expected the host's document in base64"),
        ((base64.b64encode(b"<VM><ID>1</ID></VM>").decode(), "-m"), "expected the document of a host"),
    ],
)
def test_wrong_arguments_order_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
