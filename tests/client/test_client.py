"""The client: sessions, results by type, errors as exceptions, pools."""

import pytest
from tests.cli.recorded import FakeCloud

from merope.client import BadAnswer, Client, Filter, OneError
from merope.model.errors import Code


class Bytes:
    """A transport that answers the same bytes to everything and notes what may be repeated."""

    def __init__(self, answer: str) -> None:
        self.answer = answer.encode()
        self.repeatable: list[bool] = []

    def send(self, body: bytes, repeatable: bool) -> bytes:
        self.repeatable.append(repeatable)
        return self.answer

    def close(self) -> None:
        pass


def _tuple(*values: str) -> str:
    data = "".join(f"<value>{v}</value>" for v in values)
    value = f"<value><array><data>{data}</data></array></value>"
    return f"<methodResponse><params><param>{value}</param></params></methodResponse>"


def _client(cloud: FakeCloud) -> Client:
    return Client("http://localhost:2633/RPC2", "ann:secret", cloud)


def test_the_session_comes_first() -> None:
    cloud = FakeCloud({"one.vm.info": "<VM/>"})
    assert _client(cloud).call("one.vm.info", 0, False) == "<VM/>"
    assert cloud.sessions == ["ann:secret"]
    assert cloud.calls == [("one.vm.info", (0, False))]


def test_a_refusal_carries_code_message_and_object() -> None:
    cloud = FakeCloud({"one.vm.info": OneError(1024, "[one.vm.info] Error getting virtual machine [9].", 9)})
    with pytest.raises(OneError, match=r"Error getting virtual machine \[9\]") as caught:
        _client(cloud).call("one.vm.info", 9)
    assert (caught.value.code, caught.value.oid) == (Code.NO_EXISTS, 9)


def test_a_refusal_of_three_elements_is_understood() -> None:
    answer = _tuple("<boolean>0</boolean>", "<string>no</string>", "<i4>512</i4>")
    with pytest.raises(OneError, match="no") as caught:
        Client("http://x/", "a:b", Bytes(answer)).call("one.vm.info", 1)
    assert (caught.value.code, caught.value.oid) == (Code.AUTHORIZATION, -1)


@pytest.mark.parametrize(
    "answer", [_tuple(), _tuple("<i4>1</i4>"), _tuple("<boolean>0</boolean>", "<i4>1</i4>")]
)
def test_what_is_no_response_tuple_is_said_to_be_none(answer: str) -> None:
    with pytest.raises(BadAnswer, match="response tuple"):
        Client("http://x/", "a:b", Bytes(answer)).call("one.vm.info", 1)


def test_an_id_that_is_none_is_reported() -> None:
    with pytest.raises(BadAnswer, match="should be of type int"):
        _client(FakeCloud({"one.vm.allocate": "zero"})).number("one.vm.allocate", "", False)


def test_a_document_that_is_no_xml_names_the_method() -> None:
    with pytest.raises(BadAnswer, match=r"one\.vm\.info"):
        _client(FakeCloud({"one.vm.info": "<VM>"})).info("vm", 0)


def test_only_reading_methods_may_be_repeated() -> None:
    transport = Bytes(_tuple("<boolean>1</boolean>", "<i4>0</i4>", "<i4>0</i4>"))
    client = Client("http://x/", "a:b", transport)
    for method in ("one.vmpool.info", "one.system.version", "one.vm.allocate", "one.vm.action"):
        client.call(method)
    assert transport.repeatable == [True, True, False, False]


@pytest.mark.parametrize(
    ("kind", "method", "arguments"),
    [
        ("vm", "one.vmpool.info", (-2, -1, -1, -1)),
        ("vnet", "one.vnpool.info", (-2, -1, -1)),
        ("host", "one.hostpool.info", ()),
        ("acl", "one.acl.info", ()),
    ],
)
def test_a_pool_is_asked_with_the_arguments_that_it_takes(
    kind: str, method: str, arguments: tuple[int, ...]
) -> None:
    cloud = FakeCloud({method: "<POOL/>"})
    assert _client(cloud).pool(kind) == []
    assert cloud.calls == [(method, arguments)]


def test_a_pool_gives_its_members_in_order() -> None:
    cloud = FakeCloud(
        {"one.hostpool.info": "<HOST_POOL><HOST><ID>1</ID></HOST><HOST><ID>0</ID></HOST></HOST_POOL>"}
    )
    assert [h.findtext("ID") for h in _client(cloud).pool("host")] == ["1", "0"]


def test_machines_can_be_searched() -> None:
    cloud = FakeCloud({"one.vmpool.info": "<VM_POOL/>"})
    _client(cloud).pool("vm", Filter.MINE, 3, 5, 6, "NAME=web")
    assert cloud.calls == [("one.vmpool.info", (-3, 3, 5, 6, "NAME=web"))]
