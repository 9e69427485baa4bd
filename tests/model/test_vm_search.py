"""What VMs can be found by, and what finds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model.template import Template, Vector
from merope.model.vm import VM, History
from merope.model.vm_search import Query, search_token

NIC = Vector(IP="10.0.0.7", MAC="02:00:0a:00:00:07", NETWORK="private")
MACHINE = VM(
    4,
    0,
    0,
    "ann",
    "web-team",
    "My first-VM",
    template=Template([("CPU", "0.5"), ("NIC", NIC), ("MEMORY", "64")]),
    user_template=Template([("LABELS", "prod,test"), ("NOTE", "two words")]),
    history_records=[History(4, 0, "node-1.lab", 7, 0, 1, ds_id=100)],
)


def test_everything_stands_in_a_line_of_its_own() -> None:
    assert search_token(MACHINE).splitlines() == [
        "UNAME=ann",
        "GNAME=web_team",
        "CPU=0_5",
        "MEMORY=64",
        "IP=10_0_0_7",
        "MAC=02_00_0a_00_00_07",
        "NETWORK=private",
        "LABELS=prod,test",
        "NOTE=two words",
        "NAME=My first_VM",
        "HOSTNAME=node_1_lab",
        "HID=7",
        "CID=0",
        "DS_ID=100",
    ]


@pytest.mark.parametrize(
    "query",
    [
        "MAC=02:00:0a:00:00:07",
        "mac=02:00:0A:00:00:07",
        "UNAME=ann",
        "NOTE=two",
        "NOTE=two words",
        "HOSTNAME=node-1.lab",
        "NAME=My first-VM",
        "private",
        "LABELS=prod",
        "prod,test",
    ],
)
def test_what_a_vm_is_found_by(query: str) -> None:
    assert Query(query).finds(search_token(MACHINE))


@pytest.mark.parametrize(
    "query", ["", "=", "UNAME=an", "UNAME=private", "IP=10.0.0", "NOTE=words", "NAME=first-VM", "%", "_"]
)
def test_what_a_vm_is_not_found_by(query: str) -> None:
    assert not Query(query).finds(search_token(MACHINE))


@given(st.text(max_size=30), st.text(max_size=30))
def test_the_rarest_word_is_in_every_text_that_is_found(query: str, more: str) -> None:
    text = f"NOTE={query}\n{more}"
    asked = Query(query)
    if asked.finds(text):
        assert asked.rarest.replace("_", "") in text.lower().translate(str.maketrans("", "", "-.:_"))
