"""Stored passwords and login tokens."""

import hashlib
from base64 import b64encode
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merope.model.passwords import (
    SALT_BYTES,
    TOKEN_BYTES,
    find_token,
    has_expired,
    hash_password,
    is_digest,
    needs_upgrade,
    new_token,
    sha256_hex,
    token_gids,
    token_period,
    verify,
)

SALT = bytes(range(SALT_BYTES))
LOW = 4  # a cost that tests can pay often

passwords = st.text(min_size=1, max_size=40)
salts = st.binary(min_size=SALT_BYTES, max_size=32)


@dataclass(frozen=True)
class LoginToken:
    token: str
    expires: int = -1
    egid: int = -1


@settings(deadline=None)
@given(passwords, passwords, salts)
def test_a_stored_password_matches_itself_and_no_other(password: str, other: str, salt: bytes) -> None:
    stored = hash_password(password, salt, LOW)
    assert verify(stored, password)
    assert verify(stored, other) is (other == password)


def test_the_stored_form_is_the_one_of_rfc_7914_in_the_usual_notation() -> None:
    key = hashlib.scrypt(b"opennebula", salt=SALT, n=16, r=8, p=1, dklen=32)
    encoded = b64encode(key).decode().rstrip("=")
    stored = hash_password("opennebula", SALT, LOW)
    assert stored == f"$scrypt$ln=4,r=8,p=1$AAECAwQFBgcICQoLDA0ODw${encoded}"


def test_the_same_password_is_stored_differently_with_another_salt() -> None:
    assert hash_password("secret", SALT, LOW) != hash_password("secret", SALT[::-1], LOW)


def test_other_parameters_than_ours_are_still_verified_and_due_for_an_upgrade() -> None:
    key = hashlib.scrypt(b"secret", salt=b"saltsalt", n=16, r=4, p=2, dklen=18)
    stored = f"$scrypt$ln=4,r=4,p=2$c2FsdHNhbHQ${b64encode(key).decode()}"
    assert verify(stored, "secret")
    assert needs_upgrade(stored, LOW)


@pytest.mark.parametrize("digest", ["sha256", "sha1"])
def test_the_digests_of_5_12_are_accepted_and_due_for_an_upgrade(digest: str) -> None:
    stored = hashlib.new(digest, b"opennebula").hexdigest()
    assert verify(stored, "opennebula")
    assert not verify(stored, "Opennebula")
    assert not verify(stored, stored)
    assert is_digest(stored)
    assert needs_upgrade(stored)


def test_a_password_stored_at_the_wanted_cost_stays() -> None:
    stored = hash_password("secret", SALT, LOW)
    assert not needs_upgrade(stored, LOW)
    assert needs_upgrade(stored, LOW + 1)
    assert not is_digest(stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "-",
        "secret",
        "not_found",
        "z" * 64,
        "$scrypt$",
        "$scrypt$ln=31,r=8,p=1$c2FsdHNhbHQ$" + "A" * 43,
        "$scrypt$ln=0,r=8,p=1$c2FsdHNhbHQ$" + "A" * 43,
        "$scrypt$ln=4,r=0,p=1$c2FsdHNhbHQ$" + "A" * 43,
        "$scrypt$ln=4,r=8,p=0$c2FsdHNhbHQ$" + "A" * 43,
        "$scrypt$ln=4,r=8,p=1$A$" + "A" * 43,
        "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHQ$" + "A" * 41,
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$" + "A" * 43,
    ],
)
def test_an_unknown_or_damaged_stored_form_matches_nothing(stored: str) -> None:
    assert not verify(stored, "secret")
    assert not verify(stored, stored)
    assert not verify(stored, "")


def test_a_surrogate_in_a_password_is_no_error() -> None:
    assert not verify(sha256_hex("secret"), "\ud800")


@pytest.mark.parametrize("cost", [0, 21, -1])
def test_a_cost_out_of_bounds_is_refused(cost: int) -> None:
    with pytest.raises(ValueError, match="Cost of a password must be from 1 to 20"):
        hash_password("secret", SALT, cost)


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="Salt of a password must be 16 bytes, not 3"):
        hash_password("secret", b"abc", LOW)


def test_a_token_is_64_hexadecimal_digits_that_hide_their_random_bytes() -> None:
    random = bytes(range(TOKEN_BYTES))
    token = new_token(random)
    assert len(token) == 64
    assert int(token, 16)
    assert token != random.hex()
    with pytest.raises(ValueError, match="takes 32 random bytes"):
        new_token(b"")


def test_a_secret_is_found_among_the_tokens_even_when_that_has_expired() -> None:
    tokens = [LoginToken("aa", 5), LoginToken("bb", -1)]
    assert find_token(tokens, "aa") is tokens[0]
    assert find_token(tokens, "bb") is tokens[1]
    assert find_token(tokens, "cc") is None
    assert find_token(tokens, "") is None


@pytest.mark.parametrize(
    ("expires", "expired"), [(-1, False), (101, False), (100, True), (99, True), (0, True)]
)
def test_a_token_lives_until_its_epoch_or_for_ever(expires: int, expired: bool) -> None:
    assert has_expired(LoginToken("aa", expires), now=100) is expired


@pytest.mark.parametrize(("egid", "gids"), [(-1, {1, 100}), (100, {100}), (7, set())])
def test_a_token_for_a_group_acts_for_that_group_alone(egid: int, gids: set[int]) -> None:
    assert token_gids(LoginToken("aa", egid=egid), frozenset({1, 100})) == gids


@pytest.mark.parametrize(
    ("period", "longest", "granted"),
    [
        (3600, -1, 3600),
        (-1, -1, -1),
        (3600, 86400, 3600),
        (86401, 86400, 86400),
        (-1, 86400, 86400),
        (3600, 0, None),
    ],
)
def test_a_driver_limits_how_long_a_token_lives(period: int, longest: int, granted: int | None) -> None:
    assert token_period(period, longest) == granted
