"""The page of a hook, and the tables of its executions."""

import base64
import binascii
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.context import Context
from merope.cli.errors import CliError
from merope.cli.page import LOCK, Field, Page, cells, path

_HOOK = (Field("ID", path("ID")), Field("NAME", path("NAME")), Field("TYPE", path("TYPE")), LOCK)
_EXECUTIONS = cells("ID:5R~", "TIMESTAMP:15R", "RC:5R~", "EXECUTION:9R~")
_LOG = (*cells("HOOK:5R~"), *_EXECUTIONS)
_RECORDS = "HOOKLOG/HOOK_EXECUTION_RECORD"


def show(ctx: Context, page: Page, hook: Element) -> None:
    page.heading(f"HOOK {hook.findtext('ID')} INFORMATION")
    page.fields(_HOOK, hook)
    page.line()
    if (wanted := ctx.option("execution", int)) is not None:
        _execution(page, hook, wanted)
        return
    page.template("HOOK TEMPLATE", hook.find("TEMPLATE"))
    records = hook.findall(_RECORDS)
    if records:
        page.line()
        page.heading("EXECUTION LOG")
        page.table(_EXECUTIONS, [_row(r) for r in records])
    page.line()


def log(page: Page, records: Iterable[Element]) -> None:
    """Executions of any hook."""
    page.table(_LOG, [[r.findtext("HOOK_ID", ""), *_row(r)] for r in records])


def _row(record: Element) -> list[str]:
    code = record.findtext("EXECUTION_RESULT/CODE", "")
    return [
        record.findtext("EXECUTION_ID", ""),
        formats.minute(formats.integer(record.findtext("TIMESTAMP"))),
        code,
        "SUCCESS" if code == "0" else "ERROR",
    ]


def _execution(page: Page, hook: Element, wanted: int) -> None:
    record = next((r for r in hook.iterfind(_RECORDS) if r.findtext("EXECUTION_ID") == str(wanted)), None)
    if record is None:
        raise CliError(f"Hook {hook.findtext('ID')} has no record of an execution {wanted}.")
    page.heading("HOOK EXECUTION RECORD")
    page.field("EXECUTION ID", str(wanted))
    page.field("TIMESTAMP", formats.date(formats.integer(record.findtext("TIMESTAMP"))))
    page.field("COMMAND", record.findtext("EXECUTION_RESULT/COMMAND", ""))
    page.field("ARGUMENTS", " ".join(_decoded(a) for a in record.findtext("ARGUMENTS", "").split()))
    page.field("EXIT CODE", record.findtext("EXECUTION_RESULT/CODE", ""))
    for stream in ("STDOUT", "STDERR"):
        page.line()
        page.heading(f"EXECUTION {stream}")
        if text := record.findtext(f"EXECUTION_RESULT/{stream}"):
            page.line(_decoded(text).rstrip("\n"))
    page.line()


def _decoded(text: str) -> str:
    """The text behind base64 (documents are passed to hooks so); other text as it is."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return text
