"""The published schemas, for documents to be checked against; skips with the reason where they are absent."""

from functools import cache
from pathlib import Path

import pytest
import xmlschema
from tests.compat import goca

SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "xsd"
NAMESPACE = "http://opennebula.org/XMLSchema"


def check_schema(document: str, schema: str) -> None:
    """Fails unless the document is valid; it is told the schemas' namespace first, as their README asks.

    What a schema lets pass and a strict client does not read fails too.
    """
    if schema in goca.DOCUMENTS:
        goca.read(document, schema)
    if not (SCHEMAS / f"{schema}.xsd").exists():
        pytest.skip(f"{schema}.xsd of ../shared/xsd is not there")
    root, rest = document.split(">", 1)
    closed = "/" if root.endswith("/") else ""
    told = f'{root.removesuffix("/")} xmlns="{NAMESPACE}"{closed}>{rest}'
    _schema(schema).validate(told)


@cache
def _schema(name: str) -> xmlschema.XMLSchema11:
    # Some of the schemas list elements beside a wildcard that matches them too, which version 1.0 forbids
    # and 1.1 allows; "lax" reads those in which two wildcards meet.
    return xmlschema.XMLSchema11(str(SCHEMAS / f"{name}.xsd"), validation="lax")
