"""Hooks: a command to be run when a method is called or when a VM or a host changes its state."""

from dataclasses import dataclass

from merope.model.document import Attributes, Document, Integer, Text, document, escape, new_template
from merope.model.owned import OptionalLock

#: Numbers of the types in the database (spec states.yaml `hook`).
TYPES = {"state": 1, "api": 2}
#: Last words of the methods that are no event: those that only look.
QUIET = ("info", "infoextended")


@document("HOOK")
@dataclass(slots=True)
class Hook(Document):
    """`type` is a key of TYPES. What was run is in the table hook_log."""

    id: Integer
    name: Text
    type: Text
    lock: OptionalLock = None
    template: Attributes = new_template()


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a hook's command. What it wrote is in base64; `code` is its exit status."""

    command: str
    arguments: str = ""
    stdout: str = ""
    stderr: str = ""
    code: int = 0
    stdin: str = ""
    remote_host: str = ""
    retry: bool = False

    def to_xml(self, hook_id: int, number: int, timestamp: int) -> str:
        """The HOOK_EXECUTION_RECORD (spec xml.yaml)."""
        result = _element("COMMAND", self.command)
        result += _element("STDIN", self.stdin) if self.stdin else ""
        result += _element("STDOUT", self.stdout) + _element("STDERR", self.stderr)
        more = _element("REMOTE_HOST", self.remote_host) if self.remote_host else ""
        more += "<RETRY>yes</RETRY>" if self.retry else ""
        return (
            f"<HOOK_EXECUTION_RECORD><HOOK_ID>{hook_id}</HOOK_ID><EXECUTION_ID>{number}</EXECUTION_ID>"
            f"<TIMESTAMP>{timestamp}</TIMESTAMP>{_element('ARGUMENTS', self.arguments)}"
            f"<EXECUTION_RESULT>{result}<CODE>{self.code}</CODE></EXECUTION_RESULT>{more}"
            "</HOOK_EXECUTION_RECORD>"
        )


def _element(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text)}</{tag}>"


@dataclass(frozen=True, slots=True)
class Logged:
    """An execution in the log: when it was (an epoch), its exit status, and its record."""

    timestamp: int
    code: int
    body: str
