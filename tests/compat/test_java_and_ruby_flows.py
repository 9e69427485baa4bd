"""The Java and Ruby bindings: the bytes that their XML-RPC libraries send, and what they ask of an answer.

Java's library sends texts without a type; Ruby's checks the type and the length of the answer and takes its
numbers for four bytes. Neither can be had here: the calls are written as theirs are.
"""

import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape
from xmlrpc.client import loads

import pytest
from tests.compat.conftest import Sandbox

Value = bool | int | str | list[int]
Say = Callable[..., Any]
NO_EXISTS, AUTHENTICATION = 0x400, 0x100


def java(value: Value) -> str:
    if isinstance(value, bool):
        return f"<value><boolean>{int(value)}</boolean></value>"
    if isinstance(value, int):
        return f"<value><i4>{value}</i4></value>"
    if isinstance(value, list):
        return f"<value><array><data>{''.join(map(java, value))}</data></array></value>"
    return f"<value>{escape(value)}</value>"


def ruby(value: Value) -> str:
    if isinstance(value, str):
        return f"<value><string>{escape(value)}</string></value>"
    if isinstance(value, list):
        return f"<value><array><data>{''.join(map(ruby, value))}</data></array></value>"
    return java(value)


#: A library's name → its declaration, its way with values, its headers, what stands behind the body.
LIBRARIES: dict[str, tuple[str, Callable[[Value], str], dict[str, str], str]] = {
    "java": (
        '<?xml version="1.0" encoding="UTF-8"?>',
        java,
        {"Content-Type": "text/xml", "User-Agent": "Apache XML RPC 3.1.2 (Sun HTTP Transport)"},
        "",
    ),
    "ruby": (
        '<?xml version="1.0" ?>',
        ruby,
        {"Content-Type": "text/xml; charset=utf-8", "Connection": "close", "Accept": "*/*"},
        "\n",
    ),
}


@pytest.fixture(params=sorted(LIBRARIES))
def say(request: pytest.FixtureRequest, sandbox: Sandbox) -> Say:
    declaration, encode, headers, end = LIBRARIES[request.param]
    place = urlsplit(sandbox.endpoint)
    assert place.hostname is not None

    def call(method: str, *arguments: Value, auth: str = sandbox.auth) -> Any:
        params = "".join(f"<param>{encode(value)}</param>" for value in (auth, *arguments))
        call = f"<methodCall><methodName>one.{method}</methodName><params>{params}</params></methodCall>"
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        try:
            connection.request("POST", "/RPC2", (declaration + call + end).encode(), headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        assert response.status == 200
        # Ruby's library refuses any other type, and a body that has not the length that was announced.
        assert response.headers.get_content_type() == "text/xml"
        assert int(response.headers["Content-Length"]) == len(body)
        (parts,), _ = loads(body)
        return parts

    return call


def ok(answer: Any) -> Any:
    assert answer[0] is True, answer
    assert isinstance(answer[1], str | int)
    return answer[1]


def document(answer: Any) -> ElementTree.Element:
    return ElementTree.fromstring(ok(answer))


def test_a_template_with_markup_and_quotes_comes_back_as_it_was(say: Say) -> None:
    note = 'a "b" <c> & d é'
    text = 'NAME="t"\nNOTE="a \\"b\\" <c> & d é"\nCPU="0.1"\nMEMORY="16"'
    oid = ok(say("template.allocate", text))
    read = document(say("template.info", oid, False, False))
    assert read.findtext("TEMPLATE/NOTE") == note
    ok(say("template.chmod", oid, 1, 1, 0, -1, -1, -1, 0, 0, 0))
    ok(say("template.chown", oid, -1, 1))
    ok(say("template.rename", oid, "u"))
    assert document(say("template.info", oid)).findtext("GNAME") == "users"
    ok(say("template.delete", oid))


def test_a_vm_is_held_released_listed_and_ended(say: Say) -> None:
    oid = ok(say("vm.allocate", "CPU=0.1\nMEMORY=16", True))
    held = document(say("vm.info", oid))
    assert (held.findtext("STATE"), held.findtext("LCM_STATE")) == ("2", "0")
    assert ok(say("vm.action", "release", oid)) == oid
    pool = document(say("vmpool.info", -2, -1, -1, -1))
    assert str(oid) in [each.findtext("ID") for each in pool]
    for filter_flag in (-1, -3, -4, 0):
        document(say("vmpool.info", filter_flag, -1, -1, -1))
    ok(say("vm.monitoring", oid))
    ok(say("vmpool.accounting", -2, -1, -1))
    assert ok(say("vm.action", "terminate-hard", oid)) == oid
    assert document(say("vm.info", oid)).findtext("STATE") == "6"


def test_a_user_is_made_with_and_without_what_came_later(say: Say) -> None:
    oid = ok(say("user.allocate", "pat", "secret", "core", [1, 0]))
    read = document(say("user.info", oid))
    assert [each.text for each in read.iterfind("GROUPS/ID")] == ["0", "1"]
    assert read.findtext("ENABLED") == "1"
    ok(say("user.delgroup", oid, 0))
    assert ok(say("user.login", "pat", "", 600, -1, auth="pat:secret"))
    assert document(say("user.info", -1, auth="pat:secret")).findtext("NAME") == "pat"
    ok(say("user.delete", oid))


def test_an_empty_text_is_a_text(say: Say) -> None:
    tid = ok(say("template.allocate", "NAME=plain\nCPU=0.1\nMEMORY=16"))
    vm = ok(say("template.instantiate", tid, "", True, "", False))
    assert document(say("vm.info", vm)).findtext("NAME") == f"plain-{vm}"
    ok(say("vm.action", "terminate-hard", vm))
    ok(say("template.delete", tid))


def test_a_text_of_spaces_and_lines_is_kept(say: Say) -> None:
    oid = ok(say("document.allocate", 'NAME="spaced"\nBODY="  one\n  two  "', 100))
    assert document(say("document.info", oid)).findtext("TEMPLATE/BODY") == "  one\n  two  "
    ok(say("document.delete", oid))


def test_a_refusal_has_its_words_and_its_code(say: Say) -> None:
    assert say("vm.info", 99999)[:3] == [
        False,
        "[one.vm.info] Error getting virtual machine [99999].",
        NO_EXISTS,
    ]
    assert say("vmpool.info", -2, -1, -1, -1, auth="nobody:x")[2] == AUTHENTICATION


def test_a_pool_without_a_filter_takes_what_current_bindings_add(say: Say) -> None:
    for pool in ("hostpool", "clusterpool", "datastorepool", "userpool", "grouppool", "zonepool", "vdcpool"):
        assert document(say(f"{pool}.info")).tag.endswith("_POOL")
    for pool in ("imagepool", "templatepool", "vnpool", "secgrouppool", "vrouterpool"):
        assert document(say(f"{pool}.info", -2, -1, -1)).tag.endswith("_POOL")


def test_the_version_is_told(say: Say) -> None:
    assert str(ok(say("system.version"))).startswith("5.12.")


def test_a_document_of_services_is_kept_as_json_in_xml(say: Say) -> None:
    body = '{"name": "web & \\"db\\"", "roles": [{"cardinality": 1, "vm_template": 0, "note": "<x>"}]}'
    oid = ok(
        say("document.allocate", f"<TEMPLATE><NAME>svc</NAME><BODY><![CDATA[{body}]]></BODY></TEMPLATE>", 101)
    )
    assert document(say("document.info", oid)).findtext("TEMPLATE/BODY") == body
    grown = body.replace('"cardinality": 1', '"cardinality": 2')
    ok(say("document.update", oid, f"<TEMPLATE><BODY><![CDATA[{grown}]]></BODY></TEMPLATE>", 0))
    (listed,) = document(say("documentpool.info", -2, -1, -1, 101))
    assert (listed.findtext("NAME"), listed.findtext("TEMPLATE/BODY")) == ("svc", grown)
    assert len(document(say("documentpool.info", -2, -1, -1, 100))) == 0
    ok(say("document.lock", oid, 1))
    ok(say("document.unlock", oid))
    ok(say("document.delete", oid))


def test_vms_are_searched_and_their_last_readings_asked_for(say: Say) -> None:
    oid = ok(say("vm.allocate", "NAME=needle\nCPU=0.1\nMEMORY=16", True))
    for method in ("vmpool.info", "vmpool.infoextended"):
        found = document(say(method, -2, -1, -1, -1, "NAME=needle"))
        assert [each.findtext("ID") for each in found] == [str(oid)]
    for method, arguments in (("vmpool.monitoring", (-2, 0)), ("hostpool.monitoring", (0,))):
        assert document(say(method, *arguments)).tag == "MONITORING_DATA"
    ok(say("vm.action", "terminate-hard", oid))


def test_rights_are_given_in_octal_and_kept_where_minus_one_stands(say: Say) -> None:
    oid = ok(say("template.allocate", "NAME=rights\nCPU=0.1\nMEMORY=16"))
    ok(say("template.chmod", oid, 1, 1, 0, 1, 0, 0, 0, 0, 0))
    ok(say("template.chmod", oid, -1, -1, -1, -1, -1, -1, 1, -1, -1))
    read = document(say("template.info", oid))
    bits = "".join(str(each.text) for each in read.find("PERMISSIONS") or ())
    assert bits == "110100100"
    ok(say("template.delete", oid))
