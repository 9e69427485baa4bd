"""Whatever is typed, a command ends with an exit code and a sentence, never with a trace."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cli.recorded import Answer, Call, FakeCloud, Screen, command

from merope.cli.main import TOOLS, load_tool

#: onelog runs the pager that it is told.
_TOOLS = tuple(name for name in TOOLS if name != "onelog")
_WORDS = (
    "0",
    "1,2",
    "0..3",
    "web",
    "-",
    "--",
    "",
    "=",
    "a=b",
    "640",
    "NAME=x",
    "5..2",
    "99999999999999999999",
)


@st.composite
def _lines(draw: st.DrawFn) -> list[str]:
    tool = load_tool(draw(st.sampled_from(_TOOLS)))
    if tool.commands:
        command_line = draw(st.sampled_from(tool.commands))
        words, options = [tool.name, command_line.name], command_line.options
    else:
        words, options = [tool.name], tool.options
    names = [n for o in options for n in (o.name, o.short, f"{o.name}=x") if n]
    anything = st.one_of(st.sampled_from(_WORDS), st.sampled_from(names or ["x"]), st.text(max_size=8))
    return words + draw(st.lists(anything, max_size=7))


class _InterruptError(Exception):
    """A person ends what repeats."""


def _interrupt(_: float) -> None:
    raise _InterruptError


class _Refusing(FakeCloud):
    """Refuses everything."""


class _Odd(FakeCloud):
    """Answers everything with the same thing."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    def _answer(self, call: Call) -> Answer:  # type: ignore[override]
        return self.answer


_KINDS = "VM HOST IMAGE VNET USER GROUP ZONE VMTEMPLATE DATASTORE CLUSTER VDC HOOK VROUTER VM_GROUP".split()
#: Pools whose members have ids that are none, or no more than an id and a name.
_WRONG_ID = f"<P>{''.join(f'<{k}><ID>x</ID><NAME>web</NAME></{k}>' for k in _KINDS)}</P>"
_NOTHING_KNOWN = f"<P><ID>1</ID>{''.join(f'<{k}><ID>1</ID><NAME>web</NAME></{k}>' for k in _KINDS)}</P>"
_ANSWERS: tuple[Answer, ...] = (7, "", "<X/>", "not xml", _WRONG_ID, _NOTHING_KNOWN)
_CLOUDS = st.one_of(st.builds(_Refusing), st.builds(_Odd, st.sampled_from(_ANSWERS)))


@pytest.fixture(scope="module", autouse=True)
def _home_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Logins write credentials there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("ONE_AUTH", raising=False)
        patch.setattr("time.sleep", _interrupt)
        patch.chdir(tmp_path_factory.mktemp("empty"))
        yield


@settings(max_examples=400, deadline=None)
@given(_lines(), _CLOUDS)
def test_every_line_ends_with_a_sentence(words: list[str], cloud: FakeCloud) -> None:
    screen = Screen(stdin="A=1\n", editor=lambda text: text + "B=2\n")
    try:
        outcome = command(words, cloud, screen)
    except _InterruptError:
        return
    assert outcome.code in (0, 255)
    if outcome.code:
        assert outcome.err.strip()
    assert "Traceback" not in outcome.err
