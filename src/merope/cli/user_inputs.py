"""Questions that a template asks before it is instantiated (USER_INPUTS, spec templates `USER_INPUTS`)."""

from typing import NamedTuple
from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.errors import CliError, UsageError
from merope.model.template import Template

_EDITOR_WORD = "<<EDITOR>>"
_INTEGERS = frozenset(("number", "range"))
_FLOATS = frozenset(("number-float", "range-float"))


class Question(NamedTuple):
    """`M|number| how big |1|2`: mandatory or optional, type, text, parameters, default."""

    name: str
    mandatory: bool
    type: str
    text: str
    parameters: str
    default: str

    @classmethod
    def parse(cls, name: str, form: str) -> "Question":
        parts = [p.strip() for p in form.split("|", 4)] + [""] * 5
        return cls(name, parts[0].upper() == "M", parts[1].lower(), parts[2], parts[3], parts[4])

    def check(self, answer: str) -> str:
        """The answer as the template wants it.  Raises UsageError."""
        if not answer:
            if self.mandatory:
                raise UsageError(f"{self.name} must be given: {self.text}.")
            return ""
        if self.type in _INTEGERS | _FLOATS:
            self._check_number(answer)
        elif self.type == "boolean":
            return self._boolean(answer)
        elif self.type in ("list", "list-multiple"):
            self._check_choice(answer)
        elif self.type == "text64":
            import base64

            return base64.b64encode(answer.encode()).decode()
        return answer

    def _check_number(self, answer: str) -> None:
        try:
            value = float(answer) if self.type in _FLOATS else int(answer)
        except ValueError as e:
            raise UsageError(f"{self.name}: a number is expected, not '{answer}'.") from e
        low, dots, high = self.parameters.partition("..")
        if self.type.startswith("range") and dots and not float(low) <= value <= float(high):
            raise UsageError(f"{self.name}: a number from {low} to {high} is expected, not {answer}.")

    def _boolean(self, answer: str) -> str:
        if answer.upper() not in ("YES", "NO", "Y", "N"):
            raise UsageError(f"{self.name}: YES or NO is expected, not '{answer}'.")
        return "YES" if answer.upper().startswith("Y") else "NO"

    def _check_choice(self, answer: str) -> None:
        choices = self.parameters.split(",")
        chosen = answer.split(",") if self.type == "list-multiple" else [answer]
        if wrong := [c for c in chosen if c not in choices]:
            raise UsageError(f"{self.name}: '{wrong[0]}' is none of {', '.join(choices)}.")


def questions(template: Element) -> list[Question]:
    """The questions of a template's document, in INPUTS_ORDER, then by name."""
    inputs = template.find("TEMPLATE/USER_INPUTS")
    if inputs is None:
        return []
    found = {q.tag: Question.parse(q.tag, q.text or "") for q in inputs}
    order = [n for n in template.findtext("TEMPLATE/INPUTS_ORDER", "").split(",") if n in found]
    return [found[name] for name in (*order, *(n for n in found if n not in order))]


def answers(ctx: Context, asked: list[Question]) -> Template:
    """Answers from --user-inputs, else from the person, else the defaults.  Raises CliError."""
    given = _given(ctx.option("user-inputs", list) or [])
    result = Template()
    missing = [q for q in asked if q.type != "fixed" and q.name not in given]
    if missing and ctx.terminal.interactive:
        ctx.print(
            "There are some parameters that require user input. Use the string <<EDITOR>> to launch an "
            "editor (e.g. for multi-line inputs)"
        )
    for question in asked:
        if question.type == "fixed":
            answer = question.default
        elif question.name in given:
            answer = given[question.name]
        elif ctx.terminal.interactive:
            answer = _ask(ctx, question)
        else:
            answer = question.default
            if question.mandatory and not answer:
                raise CliError(
                    f"The template asks for {question.name} ({question.text}): "
                    f"give it with --user-inputs {question.name}=value."
                )
        if checked := question.check(answer):
            result.set(question.name, checked)
    return result


def _given(pairs: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--user-inputs: '{pair}' should be NAME=value.")
        given[name.strip().upper()] = value
    return given


def _ask(ctx: Context, question: Question) -> str:
    ctx.print(f"  * ({question.name}) {question.text}")
    default = f" Press enter for default ({question.default})." if question.default else ""
    choices = f" One of {question.parameters}." if question.type.startswith("list") else ""
    prompt = f"    {question.type.capitalize()}:{choices}{default} "
    answer = ctx.terminal.ask_password(prompt) if question.type == "password" else ctx.terminal.ask(prompt)
    if answer == _EDITOR_WORD:
        return ctx.terminal.edit("") or ""
    return answer or question.default
