"""Attributes that are stored encrypted."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model import secret_attributes
from merope.model.host import Host
from merope.model.secret_attributes import conceal, decrypted, encrypted, is_concealed, reveal
from merope.model.settings import Settings
from merope.model.template import Template, Vector
from merope.model.vm_template import VmTemplate

KEY = "9d6d4717b503af2e11224f40e961682dd0b3fa32bb576388a3f4591f80eaf79e"
TEXTS = st.text(max_size=100)

needs_library = pytest.mark.skipif(
    not secret_attributes.is_available(), reason="the package cryptography (extra gate) is not installed"
)


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_attributes, "_library", lambda: None)


@needs_library
def test_a_value_is_what_openssl_makes_of_it() -> None:
    # printf opennebula | openssl enc -aes-256-cbc -K $(printf %s "${KEY:0:32}" | xxd -p -c99) -iv 0 -base64
    assert encrypted("opennebula", KEY) == "vS9uYS+rTUmvXmz0k1F/JA=="
    assert decrypted("vS9uYS+rTUmvXmz0k1F/JA==", KEY) == "opennebula"


@needs_library
@given(TEXTS)
def test_what_is_encrypted_is_decrypted_to_what_it_was(text: str) -> None:
    stored = encrypted(text, KEY)
    assert (stored != text) == bool(text)
    assert decrypted(stored, KEY) == text


@needs_library
@given(TEXTS)
def test_what_is_encrypted_already_is_not_encrypted_again(text: str) -> None:
    stored = encrypted(text, KEY)
    assert encrypted(stored, KEY) == stored


@needs_library
@given(TEXTS)
def test_what_is_not_encrypted_is_left_alone(text: str) -> None:
    assert decrypted(text, KEY) == text
    assert decrypted(base64.b64encode(text.encode()).decode(), KEY) in (
        text,
        base64.b64encode(text.encode()).decode(),
    )


def test_without_the_library_values_stay_as_they_are(no_library: None) -> None:
    assert encrypted("secret", KEY) == "secret"
    assert decrypted("vS9uYS+rTUmvXmz0k1F/JA==", KEY) == "vS9uYS+rTUmvXmz0k1F/JA=="


@needs_library
def test_single_attributes_and_keys_of_vectors_are_concealed() -> None:
    settings = Settings(one_key=KEY, vm_encrypted_attr=("PIN", "CONTEXT/PASSWORD"))
    template = Template([("PIN", "1"), ("PIN", "2"), ("CONTEXT", Vector(PASSWORD="p", USER="u")), ("A", "b")])
    value = VmTemplate(0, 0, 0, "u", "g", "t", template=template)
    plain = value.to_xml()
    conceal(value, settings)
    assert value.template.get("A") == "b"
    context = value.template.vector("CONTEXT")
    assert context is not None
    assert context["USER"] == "u"
    assert decrypted(context["PASSWORD"], KEY) == "p"
    assert [decrypted(str(pin), KEY) for pin in value.template.values("PIN")] == ["1", "2"]
    assert is_concealed(value, settings)
    assert reveal(value, settings)
    assert value.to_xml() == plain


def test_without_a_key_nothing_is_concealed() -> None:
    host = Host(0, "h", template=Template([("ONE_PASSWORD", "x")]))
    conceal(host, Settings())
    assert host.template.get("ONE_PASSWORD") == "x"
    assert not is_concealed(host, Settings())
    assert not reveal(host, Settings())
