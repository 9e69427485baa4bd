"""Logins by a directory, against a real slapd: who gets in, with which groups, and who does not."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.drivers.auth.authority import KEYS, issue, name
from tests.drivers.auth.slapd import GROUPS, MANAGER, MANAGER_PASSWORD, PEOPLE, SUFFIX, Slapd

from merope.drivers.auth.base import Places, Refused
from merope.drivers.auth.ldap import LdapDriver
from merope.drivers.errors import DriverError
from merope.model.authentication import Credentials, Identity, Membership

pytestmark = pytest.mark.xdist_group("slapd")

DEVELOPERS, EVERYBODY, ADMINS = (f"cn={common},{GROUPS}" for common in ("developers", "everybody", "admins"))
#: As templates of the cloud's groups have it: capitals do not matter in a DN.
MAPPINGS = {"GROUP_DN": {DEVELOPERS.upper(): 100, EVERYBODY: 101}}
STRANGE = r"we(ird)*|&name"


@pytest.fixture(scope="module", autouse=True)
def people(directory: Slapd) -> Slapd:
    ann = directory.person("ann", "ann secret", "Ann Lee", mail="ann@cloud.test")
    bob = directory.person("bob", "bob-secret")
    directory.person("eve", "eve-secret")
    directory.add(
        f"cn=We\\2c ird,{PEOPLE}",
        objectClass="inetOrgPerson",
        cn="We, ird",
        uid=STRANGE,
        sn="x",
        userPassword="odd",
    )
    for number in (1, 2):
        more = "inetOrgPerson"
        directory.add(
            f"cn=twin{number},{PEOPLE}", objectClass=more, cn=f"twin{number}", uid="twin", sn="x",
            userPassword="twin-secret",
        )  # fmt: skip
    developers = directory.group("developers", ann)
    directory.group("everybody", developers)
    directory.group("admins", bob)
    directory.group("circle", f"cn=ring,{GROUPS}", bob)
    directory.group("ring", f"cn=circle,{GROUPS}")
    directory.add(
        f"cn=unix,{GROUPS}", objectClass="posixGroup", cn="unix", gidNumber="5000", memberUid=["ann", "bob"]
    )
    return directory


@pytest.fixture
def driver(places: Places) -> LdapDriver:
    return LdapDriver(places)


@pytest.fixture
def server(directory: Slapd, configure: Callable[[str, str], Path]) -> Callable[..., None]:
    """Writes ldap_auth.conf with one server; options as keywords, None leaves one out."""

    def write(**options: Any) -> None:
        configure("ldap_auth.conf", conf(directory, **options) + ":order:\n    - server 1\n")

    return write


def conf(directory: Slapd, title: str = "server 1", **options: Any) -> str:
    given = {"host": "127.0.0.1", "port": directory.ldap, "base": SUFFIX, "user_field": "uid", **options}
    lines = "".join(f"    :{key}: {text}\n" for key, text in given.items() if text is not None)
    return f"{title}:\n{lines}"


def ask(driver: LdapDriver, user: str, password: str, **more: Any) -> Identity:
    return driver.authenticate(Credentials(user, "", password, 0, mappings=more.get("mappings", MAPPINGS)))


@pytest.mark.runs("auth/ldap", "authenticate")
def test_the_password_of_the_entry_gets_in_and_the_users_groups_are_those_of_the_directory(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server()
    assert ask(driver, "ann", "ann%20secret") == Identity(
        driver="ldap",
        name="ann",
        password=f"uid=ann,{PEOPLE}",
        groups=(Membership(100),),
        decides_admins=False,
    )


@pytest.mark.parametrize("encryption", [":start_tls", ":simple_tls"])
def test_an_encrypted_connection_is_made_when_the_certificate_is_right(
    driver: LdapDriver, server: Callable[..., None], directory: Slapd, encryption: str
) -> None:
    port = directory.ldap if encryption == ":start_tls" else directory.ldaps
    server(encryption=encryption, port=port, ca_file=directory.ca_file)
    assert ask(driver, "ann", "ann%20secret").name == "ann"


@pytest.mark.parametrize("encryption", [":start_tls", ":simple_tls"])
@pytest.mark.parametrize("wrong", ["authority", "host", "system"])
def test_no_password_is_sent_to_a_server_whose_certificate_is_not_right(
    driver: LdapDriver,
    server: Callable[..., None],
    directory: Slapd,
    tmp_path: Path,
    encryption: str,
    wrong: str,
) -> None:
    other = tmp_path / "other.pem"
    other.write_text(issue(name("Other CA"), KEYS[2], authority=True).pem)
    server(
        encryption=encryption,
        port=directory.ldap if encryption == ":start_tls" else directory.ldaps,
        host="localhost" if wrong == "host" else "127.0.0.1",
        ca_file={"authority": other, "host": directory.ca_file, "system": None}[wrong],
    )
    with pytest.raises(DriverError, match="certificate is not accepted"):
        ask(driver, "ann", "ann%20secret")


def test_the_searching_account_is_used_where_one_is_given(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server(user=MANAGER, password=MANAGER_PASSWORD)
    assert ask(driver, "bob", "bob-secret", mappings={"GROUP_DN": {ADMINS: 7}}).groups == (Membership(7),)
    server(user=MANAGER, password="another")
    with pytest.raises(DriverError, match="does not accept :user: and :password: of server 1"):
        ask(driver, "bob", "bob-secret")


REFUSED = {
    "another password": ("ann", "wrong"),
    "somebody else's password": ("ann", "bob-secret"),
    "an empty password, which the server takes for nobody": ("ann", ""),
    "a password that begins with a zero byte": ("ann", "%00"),
    "a zero byte behind the password": ("bob", "bob-secret%00"),
    "an unknown name": ("nobody", "ann%20secret"),
    "an empty name": ("", "ann%20secret"),
    "any name": ("*", "bob-secret"),
    "the beginning of a name": ("bo*", "bob-secret"),
    "the end of the filter": ("bob)(uid=*", "bob-secret"),
    "an or in the filter": ("x)(|(uid=bob", "bob-secret"),
    "a filter for a DN": (f"bob)(objectClass=*))(&(uid={PEOPLE}", "bob-secret"),
    "an escaped asterisk": ("bo\\2a", "bob-secret"),
    "a URL-encoded asterisk": ("bo%2a", "bob-secret"),
    "a zero byte in the name": ("bob%00", "bob-secret"),
    "a DN in place of the name": (f"uid=bob,{PEOPLE}", "bob-secret"),
    "the manager, who is not an entry": ("manager", MANAGER_PASSWORD),
    "a blank behind the name": ("bob%20", "bob-secret"),
    "a blank before the name": ("%20bob", "bob-secret"),
    "a name that two entries have": ("twin", "twin-secret"),
    "a group in place of a user": ("unix", "x"),
    "a name that is too long": ("b" * 300, "bob-secret"),
}


@pytest.mark.parametrize("attempt", REFUSED)
def test_an_attempt_that_must_fail_fails(
    driver: LdapDriver, server: Callable[..., None], attempt: str, caplog: pytest.LogCaptureFixture
) -> None:
    server(mapping_default=1)
    user, password = REFUSED[attempt]
    with caplog.at_level(logging.DEBUG), pytest.raises(Refused) as refusal:
        ask(driver, user, password)
    said = f"{refusal.value}{caplog.text}"
    assert not [word for word in (user, password) if len(word) > 3 and word in said]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30) | st.text("ab)(|&*=\\\0%29uid,: n", max_size=30))
def test_no_name_but_hers_gets_in_with_anns_password(
    driver: LdapDriver, server: Callable[..., None], user: str
) -> None:
    server(mapping_default=1)
    assume(unquote(user).lower() != "ann")
    with pytest.raises(Refused):
        ask(driver, user, "ann%20secret")


def test_characters_of_filters_and_names_are_ordinary_in_a_name(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server(mapping_default=1)
    found = ask(driver, "we(ird)*|&name", "odd")
    assert (found.name, found.password) == ("we(ird)*%7c&name", f"cn=We%5C2C%20ird,{PEOPLE}")


def test_the_clouds_name_has_small_letters_and_no_blanks(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server(user_field="cn", mapping_default=1)
    assert ask(driver, "ANN%20Lee", "ann%20secret").name == "ann%20lee"


def test_letters_that_are_the_same_to_the_directory_make_no_second_user(
    driver: LdapDriver, server: Callable[..., None], directory: Slapd
) -> None:
    directory.person("köken", "koken-secret")
    server(mapping_default=1)
    spellings = ("k%C3%B6ken", "K%C3%96KEN", "%E2%84%AAöken", "ko%CC%88ken", "%EF%BD%8Böken")
    names = set()
    for spelling in spellings:
        try:
            names.add(ask(driver, spelling, "koken-secret").name)
        except Refused:
            continue
    assert names == {"k%c3%b6ken"}


def test_only_members_of_the_group_get_in_where_one_is_given(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server(group=DEVELOPERS, mapping_default=1)
    assert ask(driver, "ann", "ann%20secret").groups
    with pytest.raises(Refused, match="not in the group that users must be in"):
        ask(driver, "bob", "bob-secret")


def test_membership_by_names_is_asked_by_names(driver: LdapDriver, server: Callable[..., None]) -> None:
    unix = f"cn=unix,{GROUPS}"
    options = {"group": unix, "group_field": "memberUid", "user_group_field": "uid", "rfc2307bis": "false"}
    server(**options)
    assert ask(driver, "bob", "bob-secret", mappings={"GROUP_DN": {unix: 9}}).groups == (Membership(9),)
    with pytest.raises(Refused, match="not in the group"):
        ask(driver, "eve", "eve-secret", mappings={"GROUP_DN": {unix: 9}})


def test_groups_are_searched_where_entries_do_not_name_them(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server(rfc2307bis="false", group_base=GROUPS)
    assert ask(driver, "ann", "ann%20secret").groups == (Membership(100),)


def test_groups_of_groups_count_where_they_may_be_nested(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    for kind in ("true", "false"):
        server(nested_groups="true", rfc2307bis=kind)
        assert ask(driver, "ann", "ann%20secret").groups == (Membership(100), Membership(101))
        server(nested_groups="true", rfc2307bis=kind, group=EVERYBODY)
        assert ask(driver, "ann", "ann%20secret").groups
    server(nested_groups="false", group=EVERYBODY)
    with pytest.raises(Refused, match="not in the group"):
        ask(driver, "ann", "ann%20secret")


def test_groups_that_are_in_each_other_come_to_an_end(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server(nested_groups="true")
    rings = {"GROUP_DN": {f"cn=circle,{GROUPS}": 3, f"cn=ring,{GROUPS}": 4}}
    assert ask(driver, "bob", "bob-secret", mappings=rings).groups == (Membership(3), Membership(4))


def test_who_is_in_no_mapped_group_is_in_the_default_one_or_does_not_get_in(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server(mapping_default=1)
    assert ask(driver, "eve", "eve-secret").groups == (Membership(1),)
    server()
    with pytest.raises(Refused, match="in no group that is mapped"):
        ask(driver, "eve", "eve-secret")


def test_the_mapping_is_a_file_where_it_is_not_made_from_templates(
    driver: LdapDriver, server: Callable[..., None], places: Places
) -> None:
    server(mapping_generate="false", mapping_filename="groups.yaml")
    (places.home / "groups.yaml").write_text(f"---\n{DEVELOPERS}: '105'\n{ADMINS}: 106\n")
    assert ask(driver, "ann", "ann%20secret").groups == (Membership(105),)
    assert driver.attributes() == frozenset()
    (places.home / "groups.yaml").write_text(f"{DEVELOPERS}: many\n")
    with pytest.raises(DriverError, match=r"groups\.yaml:1: lines of the form DN: id of a group"):
        ask(driver, "ann", "ann%20secret")


def test_members_of_the_administrators_group_administer_their_groups(
    driver: LdapDriver, server: Callable[..., None]
) -> None:
    server(group_admin_group_dn=ADMINS, mapping_default=1)
    mappings = {"GROUP_DN": {ADMINS: 102, DEVELOPERS: 100}}
    bob = ask(driver, "bob", "bob-secret", mappings=mappings)
    assert (bob.groups, bob.decides_admins) == ((Membership(102, admin=True),), True)
    ann = ask(driver, "ann", "ann%20secret", mappings=mappings)
    assert (ann.groups, ann.decides_admins) == ((Membership(100),), True)


def test_a_filter_of_ones_own_leaves_entries_out(driver: LdapDriver, server: Callable[..., None]) -> None:
    server(user_filter="(mail=*)", mapping_default=1)
    assert ask(driver, "ann", "ann%20secret").name == "ann"
    with pytest.raises(Refused, match="no entry has that name"):
        ask(driver, "bob", "bob-secret")


def test_the_file_counts_as_it_is_at_the_login(driver: LdapDriver, server: Callable[..., None]) -> None:
    server(user_field="mail", mapping_default=1)
    with pytest.raises(Refused):
        ask(driver, "bob", "bob-secret")
    server(mapping_default=1)
    assert ask(driver, "bob", "bob-secret").name == "bob"


# Several servers


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port: int = made.getsockname()[1]
    return port


def test_servers_are_asked_one_after_the_other_until_one_knows_the_user(
    driver: LdapDriver, directory: Slapd, configure: Callable[[str, str], Path], closed: int
) -> None:
    first = conf(directory, "first", base=GROUPS)
    down = conf(directory, "down", port=closed)
    last = conf(directory, "last", mapping_default=1)
    configure("ldap_auth.conf", f"{first}{down}{last}:order: [first, down, last]\n")
    assert ask(driver, "eve", "eve-secret").groups == (Membership(1),)
    with pytest.raises(DriverError, match="Can't contact LDAP server"):
        ask(driver, "eve", "wrong")


def test_of_a_list_within_the_list_the_first_that_answers_decides(
    driver: LdapDriver, directory: Slapd, configure: Callable[[str, str], Path], closed: int
) -> None:
    down = conf(directory, "down", port=closed)
    strict = conf(directory, "strict", group=DEVELOPERS)
    loose = conf(directory, "loose", mapping_default=1)
    configure("ldap_auth.conf", f"{down}{strict}{loose}:order:\n  - [down, strict, loose]\n")
    assert ask(driver, "ann", "ann%20secret").groups == (Membership(100),)
    with pytest.raises(Refused, match="strict: the user is not in the group"):
        ask(driver, "eve", "eve-secret")


def test_patterns_say_which_server_is_asked_for_which_part_of_the_name(
    driver: LdapDriver, directory: Slapd, configure: Callable[[str, str], Path]
) -> None:
    people, groups = (
        conf(directory, title, base=base, mapping_default=1)
        for title, base in (("people", PEOPLE), ("groups", GROUPS))
    )
    rules = ':match_user_regex:\n  "^(.*)@cloud$": people\n  "^(.*)@other$": [groups]\n'
    configure("ldap_auth.conf", f"{people}{groups}{rules}")
    assert ask(driver, "eve@Cloud", "eve-secret").name == "eve@cloud"
    for user in ("eve@other", "eve", "eve@cloud@cloud"):
        with pytest.raises(Refused):
            ask(driver, user, "eve-secret")


# Servers that do not answer


@pytest.fixture(params=["silent", "dripping", "babbling"])
def bad_server(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server that takes connections and says nothing, a byte now and then, or what is not LDAP."""
    stop, taken = threading.Event(), []
    listener = socket.create_server(("127.0.0.1", 0))

    def drip(made: socket.socket) -> None:
        # The beginning of an answer that would be 16 MB long.
        for byte in b"\x30\x84\x01\x00\x00\x00" + bytes(100):
            if stop.wait(0.2):
                return
            made.send(bytes([byte]))

    def serve() -> None:
        while True:
            try:
                made, _ = listener.accept()
            except OSError:
                return
            taken.append(made)
            if request.param == "dripping":
                threading.Thread(target=drip, args=(made,)).start()
            elif request.param == "babbling":
                made.send(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    stop.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for made in taken:
        made.close()


@pytest.mark.parametrize("encryption", [None, ":start_tls", ":simple_tls"])
def test_a_server_that_does_not_answer_holds_nobody_up_for_longer_than_its_time(
    driver: LdapDriver, server: Callable[..., None], directory: Slapd, bad_server: int, encryption: str | None
) -> None:
    ca_file = directory.ca_file if encryption else None
    server(port=bad_server, encryption=encryption, timeout=1, ca_file=ca_file)
    began = time.monotonic()
    with pytest.raises(DriverError):
        ask(driver, "ann", "ann%20secret")
    assert time.monotonic() - began < 4
