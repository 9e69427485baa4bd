"""Chains of certificates: whom they make somebody, and which are refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.drivers.auth.authority import KEYS, Issued, issue, name
from tests.drivers.auth.conftest import NOW

from merope.client import tokens
from merope.drivers.auth.base import Places, Refused
from merope.drivers.auth.x509 import X509Driver
from merope.drivers.errors import DriverError
from merope.model.authentication import Credentials, Identity

ROOT_KEY, MIDDLE_KEY, ANN_KEY, PROXY_KEY, OTHER_KEY = KEYS
ANN = "/O=Clouds\\20&\\20Co/CN=Ann\\20Lee"
BOB = "/O=Clouds\\20&\\20Co/CN=bob"


@dataclass
class World:
    """An authority that is trusted, one below it, and Ann's certificate by either."""

    places: Places
    root: Issued = field(default_factory=lambda: issue(name("Root"), ROOT_KEY, authority=True, now=NOW))

    def __post_init__(self) -> None:
        self.middle = issue(name("Middle"), MIDDLE_KEY, self.root, authority=True, now=NOW)
        self.ann = issue(name("Ann Lee"), ANN_KEY, self.root, now=NOW)
        self.proxy = issue(name("Ann Lee", "12345"), PROXY_KEY, self.ann, proxy=True, days=2, now=NOW)
        self.ca_dir = self.places.etc / "auth" / "certificates"
        self.root.put(self.ca_dir)

    def ask(
        self,
        *chain: Issued,
        stored: str = ANN,
        user: str = "ann",
        key: Issued | None = None,
        signed_for: str = "ann",
        ends: int = NOW + 60,
        now: int = NOW,
    ) -> Identity:
        pem: Sequence[str] = [made.pem for made in chain]
        secret = tokens.x509_token((key or chain[0]).key, pem, signed_for, ends)
        return X509Driver(self.places).authenticate(Credentials(user, stored, secret, now))


@pytest.fixture
def world(places: Places) -> World:
    return World(places)


@pytest.mark.runs("auth/x509", "authenticate")
def test_a_certificate_by_a_trusted_authority_is_its_owner_until_the_token_ends(world: World) -> None:
    assert world.ask(world.ann) == Identity(expires=NOW + 60)


def test_a_token_is_no_longer_good_than_its_certificate(world: World) -> None:
    answer = world.ask(world.proxy, world.ann, ends=NOW + 10_000_000)
    assert answer.expires == int(world.proxy.certificate.not_valid_after_utc.timestamp())


def test_a_password_may_have_several_names(world: World) -> None:
    assert world.ask(world.ann, stored=f"{BOB}|{ANN}").expires


def test_authorities_may_be_in_between_in_the_chain_or_in_the_directory(world: World) -> None:
    ann = issue(name("Ann Lee"), ANN_KEY, world.middle, now=NOW)
    assert world.ask(ann, world.middle).expires
    world.middle.put(world.ca_dir)
    assert world.ask(ann).expires


def test_a_proxy_is_its_owner_and_so_is_a_proxys_proxy(world: World) -> None:
    assert world.ask(world.proxy, world.ann).expires
    second = issue(name("Ann Lee", "12345", "67"), OTHER_KEY, world.proxy, proxy=True, now=NOW)
    assert world.ask(second, world.proxy, world.ann).expires


def test_revocation_lists_count_where_they_are(world: World) -> None:
    world.root.revoke(world.ca_dir, now=NOW)
    assert world.ask(world.ann).expires
    world.root.revoke(world.ca_dir, world.ann, now=NOW)
    with pytest.raises(Refused, match="revoked"):
        world.ask(world.ann)
    with pytest.raises(Refused, match="revoked"):
        world.ask(world.proxy, world.ann)
    world.root.revoke(world.ca_dir, days=-5, now=NOW)
    with pytest.raises(Refused, match="CRL has expired"):
        world.ask(world.ann)


def test_revocation_lists_may_be_demanded(world: World, configure: Callable[[str, str], Path]) -> None:
    configure("x509_auth.conf", ":check_crl: true\n")
    with pytest.raises(Refused, match="unable to get certificate CRL"):
        world.ask(world.ann)
    world.root.revoke(world.ca_dir, now=NOW)
    assert world.ask(world.ann).expires


def test_the_directory_is_where_the_file_says(
    world: World, configure: Callable[[str, str], Path], tmp_path: Path
) -> None:
    configure("x509_auth.conf", f':ca_dir: "{tmp_path / "elsewhere"}"\n')
    with pytest.raises(DriverError, match=r"there is no directory .*elsewhere"):
        world.ask(world.ann)
    world.root.put(tmp_path / "elsewhere")
    assert world.ask(world.ann).expires


def _other_authority(world: World) -> Identity:
    other = issue(name("Root"), OTHER_KEY, authority=True, now=NOW)
    return world.ask(issue(name("Ann Lee"), ANN_KEY, other, now=NOW), other)


def _no_authority(world: World) -> Identity:
    return world.ask(issue(name("Ann Lee"), ANN_KEY, now=NOW))


def _signed_by_a_person(world: World) -> Identity:
    """Bob signs a certificate with Ann's name: he is no authority."""
    bob = issue(name("bob"), OTHER_KEY, world.root, now=NOW)
    return world.ask(issue(name("Ann Lee"), PROXY_KEY, bob, now=NOW), bob)


def _proxy_with_anothers_name(world: World) -> Identity:
    """Bob makes a proxy that begins like Ann's name: proxies carry their owner's."""
    bob = issue(name("bob"), OTHER_KEY, world.root, now=NOW)
    return world.ask(issue(name("Ann Lee", "1"), PROXY_KEY, bob, proxy=True, now=NOW), bob)


def _proxy_of_another(world: World) -> Identity:
    bob = issue(name("bob"), OTHER_KEY, world.root, now=NOW)
    return world.ask(issue(name("bob", "1"), PROXY_KEY, bob, proxy=True, now=NOW), bob)


def _ann_behind_bob(world: World) -> Identity:
    """Ann's certificate is public: bringing it along makes nobody Ann."""
    return world.ask(issue(name("bob"), OTHER_KEY, world.root, now=NOW), world.ann)


def _another_key(world: World) -> Identity:
    return world.ask(world.ann, key=Issued(world.ann.certificate, OTHER_KEY))


def _not_yet(world: World) -> Identity:
    return world.ask(issue(name("Ann Lee"), ANN_KEY, world.root, begin=2, now=NOW))


def _certificate_ended(world: World) -> Identity:
    return world.ask(issue(name("Ann Lee"), ANN_KEY, world.root, begin=-20, days=10, now=NOW))


def _authority_ended(world: World) -> Identity:
    old = issue(name("Middle"), MIDDLE_KEY, world.root, authority=True, begin=-20, days=10, now=NOW)
    return world.ask(issue(name("Ann Lee"), ANN_KEY, old, now=NOW), old)


def _missing_authority(world: World) -> Identity:
    return world.ask(issue(name("Ann Lee"), ANN_KEY, world.middle, now=NOW))


def _too_long(world: World) -> Identity:
    return world.ask(world.ann, *[world.root] * 10)


MUST_FAIL: dict[str, Callable[[World], Identity]] = {
    "by another authority of the same name": _other_authority,
    "signed by itself": _no_authority,
    "signed by another person": _signed_by_a_person,
    "a proxy with another's name": _proxy_with_anothers_name,
    "a proxy of another person": _proxy_of_another,
    "her certificate behind another's": _ann_behind_bob,
    "her certificate, another key": _another_key,
    "not valid yet": _not_yet,
    "no longer valid": _certificate_ended,
    "an authority that is no longer valid": _authority_ended,
    "an authority that is not brought along": _missing_authority,
    "a chain that is too long": _too_long,
    "another person": lambda world: world.ask(world.ann, stored=BOB),
    "a part of the name": lambda world: world.ask(world.ann, stored=ANN[:-1]),
    "no name is stored": lambda world: world.ask(world.ann, stored=""),
    "a token for another user": lambda world: world.ask(world.ann, signed_for="bob"),
    "a token that has ended": lambda world: world.ask(world.ann, ends=NOW),
    "a token that is used after its end": lambda world: world.ask(world.ann, now=NOW + 60),
    "a proxy without its owner": lambda world: world.ask(world.proxy),
}


@pytest.mark.parametrize("attempt", MUST_FAIL)
def test_an_attempt_that_must_fail_fails(world: World, attempt: str) -> None:
    with pytest.raises(Refused):
        MUST_FAIL[attempt](world)


@pytest.mark.parametrize("secret", ["", "!", "AAAA", "Og==", "Ojo6", "A" * 200_000, "\udc80"])
def test_what_is_no_token_is_refused(world: World, secret: str) -> None:
    with pytest.raises(Refused):
        X509Driver(world.places).authenticate(Credentials("ann", ANN, secret, NOW))
