"""Documents of the core as OneFlow has them: type 100 services, type 101 service templates.

The BODY is JSON. What REST clients get is the whole document as JSON, its scalars as text, BODY as it is.
Source: spec drivers.yaml `oneflow.routes`, recorded document.xml.
"""

import json
from typing import Any
from xml.etree.ElementTree import Element

from merope.client.client import parse_document
from merope.flow.service import Json, Owner, Service
from merope.flow.states import VmView

SERVICE, TEMPLATE = 100, 101


def body_of(document: Element) -> Json:
    """The JSON of BODY; raises ValueError where there is none."""
    text = document.findtext("TEMPLATE/BODY")
    if text is None:
        raise ValueError("the document has no BODY")
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("BODY is no JSON object")
    return body


def service_of(document: Element) -> Service:
    """Raises ValueError, KeyError or TypeError where the document is none of a service."""
    oid = int(document.findtext("ID", "-1"))
    return Service.of_json(oid, document.findtext("NAME", ""), owner_of(document), body_of(document))


def owner_of(document: Element) -> Owner:
    found = [document.findtext(name, "") for name in ("UID", "GID", "UNAME", "GNAME")]
    return Owner(int(found[0]), int(found[1]), found[2], found[3])


def with_body(text: str, name: str = "") -> str:
    """What a document is made from, or updated with: XML, because the text of JSON is no template's."""
    safe = text.replace("]]>", "]]\\u003e")
    named = f"<NAME><![CDATA[{name.replace(']]>', '')}]]></NAME>" if name else ""
    return f"<TEMPLATE>{named}<BODY><![CDATA[{safe}]]></BODY></TEMPLATE>"


def to_json(document: Element) -> Json:
    """As REST clients get it."""
    made: Json = {child.tag: _plain(child) for child in document if child.tag != "TEMPLATE"}
    template = document.find("TEMPLATE")
    attributes = {child.tag: _plain(child) for child in template} if template is not None else {}
    try:
        attributes["BODY"] = body_of(document)
    except ValueError:
        attributes["BODY"] = {}
    return {**made, "TEMPLATE": attributes}


def _plain(element: Element) -> Any:
    return {child.tag: _plain(child) for child in element} if len(element) else element.text or ""


def pool_to_json(text: str) -> Json:
    pool = parse_document(text, "one.documentpool.info")
    return {"DOCUMENT_POOL": {"DOCUMENT": [to_json(document) for document in pool.iterfind("DOCUMENT")]}}


def view_of(vm: Element) -> VmView:
    """The state of a VM, from its document."""
    return VmView(
        int(vm.findtext("STATE", "0")),
        int(vm.findtext("LCM_STATE", "0")),
        ready=vm.findtext("USER_TEMPLATE/READY", "").strip().upper() == "YES",
        error=vm.findtext("USER_TEMPLATE/ERROR", "").strip(),
    )
