"""The drivers' own files: what they may say, and how what is wrong is told."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.auth.conftest import NOW

from merope.daemon.authentication import drivers
from merope.drivers.auth import ldap_settings, options, server_x509, x509
from merope.drivers.auth.base import Places, Refused
from merope.drivers.auth.executable import answer
from merope.drivers.auth.ldap import LdapDriver
from merope.drivers.auth.ldap_directory import _escaped
from merope.drivers.auth.server_x509 import ServerX509Driver
from merope.drivers.auth.ssh import SshDriver
from merope.drivers.auth.x509 import X509Driver
from merope.drivers.errors import DriverError
from merope.model.authentication import Credentials, Identity, Membership
from merope.model.settings import Settings

SERVER = "a:\n    :base: 'dc=x'\n"

WRONG = {
    "": "1: either :order or :match_user_regex must say which servers are asked",
    "- a\n": "1: lines of the form :option: value are expected",
    "a: [\n": "2: this is not YAML",
    "a: 1\n:order: [a]\n": "1: a must be a server with its options below, :order or :match_user_regex",
    f"{SERVER}:order: a\n": "3: :order must be a list of servers, or of lists of servers",
    f"{SERVER}:order: [b]\n": "3: there is no server 'b' in this file",
    f"{SERVER}:order: [[a, b]]\n": "3: there is no server 'b' in this file",
    f"{SERVER}:order: [[]]\n": "3: the name of a server, or a list of names, is expected",
    f"{SERVER}:order: [a]\n:match_user_regex: {{x: a}}\n": "1: :order and :match_user_regex exclude",
    f"{SERVER}:match_user_regex: []\n": "3: :match_user_regex must have lines of the form: regular",
    f"{SERVER}:match_user_regex:\n  '(': a\n": "4: '(' is no regular expression",
    f"{SERVER}:match_user_regex:\n  x: c\n": "4: there is no server 'c' in this file",
    "a:\n    :host: h\n:order: [a]\n": "2: the server a needs a :base:",
    f"{SERVER}    base: x\n:order: [a]\n": "3: unknown option base (did you mean :base:?)",
    f"{SERVER}    :base: y\n:order: [a]\n": "3: :base is set twice, first in line 2",
    f"{SERVER}    :port: 70000\n:order: [a]\n": "3: :port must be a whole number from 1 to 65535",
    f"{SERVER}    :port: [389]\n:order: [a]\n": "3: :port must be a whole number from 1 to 65535",
    f"{SERVER}    :encryption: :ssl\n:order: [a]\n": "3: :encryption must be one of :simple_tls, :start_tls",
    f"{SERVER}    :auth_method: :sasl\n:order: [a]\n": "3: :auth_method must be one of :simple",
    f"{SERVER}    :rfc2307bis: maybe\n:order: [a]\n": "3: :rfc2307bis must be true or false",
    f"{SERVER}    :user_field: 'uid)('\n:order: [a]\n": "3: :user_field must be the name of an attribute",
    f"{SERVER}    :user_filter: uid=x\n:order: [a]\n": "3: :user_filter must be a filter in parentheses",
    f"{SERVER}    :mapping_filename: ../x\n:order: [a]\n": "3: :mapping_filename must be the name of a file",
    f"{SERVER}    :user: cn=x\n:order: [a]\n": "2: the server a has a :user: without a :password:",
    f"{SERVER}    :ca_file: /x\n:order: [a]\n": "2: the server a has a :ca_file: without :encryption:",
    f"{SERVER}    :host:\n:order: [a]\n": "3: :host must be a host name or address",
    "a: &x\n    :base: *x\n:order: [a]\n": "nested too deeply",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_the_file_of_directories_is_told_with_its_line(
    places: Places, configure: Callable[[str, str], Path], text: str
) -> None:
    path = configure("ldap_auth.conf", text)
    with pytest.raises(DriverError) as error:
        LdapDriver(places).check()
    assert str(error.value).startswith(f"{path}:")
    assert WRONG[text] in str(error.value)


def test_everything_that_is_wrong_is_told_at_once(
    places: Places, configure: Callable[[str, str], Path]
) -> None:
    configure("ldap_auth.conf", "a:\n    :port: x\n    :hots: h\nb:\n    :timeout: 0\n:order: [c]\n")
    with pytest.raises(DriverError) as error:
        LdapDriver(places).check()
    lines = [line.partition("ldap_auth.conf:")[2][0] for line in str(error.value).splitlines()]
    assert lines == ["2", "3", "2", "5", "5", "6"]


def test_a_password_in_the_file_is_in_no_error(places: Places, configure: Callable[[str, str], Path]) -> None:
    configure("ldap_auth.conf", "a:\n    :password: [Quokka-4711]\n    :port: Quokka-4712\n:order: [a]\n")
    with pytest.raises(DriverError) as error:
        LdapDriver(places).check()
    assert "Quokka" not in str(error.value)


def test_the_originals_file_is_understood(configure: Callable[[str, str], Path]) -> None:
    text = """\
server 1:
    #:user: 'admin'
    :auth_method: :simple
    :host: ldap.cloud.test
    :port: 389
    :timeout: 15
    :base: 'dc=domain'
    :group: 'cn=cloud,ou=groups,dc=domain'
    :user_field: 'cn'
    :group_field: 'member'
    :user_group_field: 'dn'
    :mapping_generate: true
    :mapping_timeout: 300
    :mapping_filename: server1.yaml
    :mapping_key: GROUP_DN
    :mapping_default: 1
    :rfc2307bis: true
    :group_admin_group_dn: 'cn=admins,ou=groups,dc=domain'
server 2:
    :base: 'dc=other'
    :encryption: :simple_tls
:order:
    - server 1
    - ['server 2']
"""
    found = ldap_settings.load(configure("ldap_auth.conf", text))
    name, groups = found.asked("ann")
    assert (name, [[server.url for server in group] for group in groups]) == (
        "ann",
        [["ldap://ldap.cloud.test:389"], ["ldaps://localhost:636"]],
    )
    assert found.servers["server 1"].mapping_default == 1
    assert found.servers["server 2"].mapping_default is None


def test_a_password_of_a_server_shows_in_no_text_of_it(configure: Callable[[str, str], Path]) -> None:
    text = f"{SERVER}    :user: cn=x\n    :password: Quokka\n:order: [a]\n"
    assert "Quokka" not in repr(ldap_settings.load(configure("ldap_auth.conf", text)))


def test_what_is_risky_in_the_file_is_told_in_the_log(
    places: Places, configure: Callable[[str, str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    text = f"{SERVER}    :host: ldap.test\n    :user: cn=x\n    :password: Quokka\n:order: [a]\n"
    path = configure("ldap_auth.conf", text)
    path.chmod(0o644)
    LdapDriver(places).check()
    assert f"{path} has a password in it and others can read it" in caplog.text
    assert "passwords go to ldap://ldap.test:389 in the clear" in caplog.text
    assert "Quokka" not in caplog.text
    caplog.clear()
    path.chmod(0o640)
    configure("ldap_auth.conf", text.replace("ldap.test", "127.0.0.1"))
    LdapDriver(places).check()
    assert caplog.text == ""


def test_drivers_without_their_files_say_so_when_they_are_asked(places: Places) -> None:
    credentials = Credentials("ann", "", "secret", NOW)
    for driver in (LdapDriver(places), ServerX509Driver(places)):
        driver.check()
        with pytest.raises(DriverError, match=r"is not configured: .*_auth\.conf"):
            driver.authenticate(credentials)


def test_the_service_that_signs_must_be_named(places: Places, configure: Callable[[str, str], Path]) -> None:
    configure("server_x509_auth.conf", "# nothing\n")
    with pytest.raises(DriverError, match=":srv_user: must be given"):
        ServerX509Driver(places).check()


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "authentication.md").read_text()
    for declared in (ldap_settings.OPTIONS, x509.OPTIONS, server_x509.OPTIONS):
        missing = [name for name in declared if f"`:{name}:`" not in page]
        assert missing == []


@given(st.text())
def test_any_text_is_a_file_or_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conf"
    path.write_text(text, encoding="utf-8", errors="replace")
    sentences = []
    try:
        table, problems = options.read(path)
        options.values(table, x509.OPTIONS, problems)
        sentences += problems.found
    except DriverError as error:
        sentences.append(str(error))
    assert all(sentence.startswith(f"{path}:") for sentence in sentences)


@given(st.text(max_size=200))
def test_no_character_of_a_name_has_a_meaning_in_a_filter(name: str) -> None:
    escaped = _escaped(name)
    assert not set("()*&|!=<>~\0 ,+\"'") & set(escaped)
    parts = escaped.split("\\")
    assert all(len(part) >= 2 and part[:2].isalnum() for part in parts[1:])


@given(st.text(max_size=300))
def test_whatever_is_sent_as_a_signed_token_is_refused(secret: str) -> None:
    places = Places(Path("/nonexistent"), Path("/nonexistent"))
    for driver in (SshDriver(places), X509Driver(places)):
        with pytest.raises(Refused):
            driver.authenticate(Credentials("ann", "stored", secret, NOW))


@given(st.text(max_size=300), st.booleans())
def test_whatever_an_executable_prints_is_an_answer_or_an_error(text: str, known: bool) -> None:
    try:
        found = answer(text, known=known)
    except DriverError:
        return
    assert known or (found.driver and found.name and found.password)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ldap ann dn\n", Identity("ldap", "ann", "dn")),
        ("noise\nldap ann dn 1 *100 101\n\n", Identity("ldap", "ann", "dn", (
            Membership(1), Membership(100, True), Membership(101)))),
    ],
)  # fmt: skip
def test_the_last_line_of_an_executable_is_its_answer(text: str, expected: Identity) -> None:
    assert answer(text, known=False) == expected


@pytest.mark.parametrize("text", ["", "ldap ann", "ldap ann dn x", "ldap ann dn -1", "ldap ann dn **1"])
def test_an_answer_that_is_none_is_an_error_for_who_is_not_known(text: str) -> None:
    with pytest.raises(DriverError):
        answer(text, known=False)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"AUTHN": "ldap,../x"}, "AUTH_MAD/AUTHN ../x: the name of a driver has letters"),
        ({"AUTHN": "house"}, "AUTH_MAD/AUTHN house: there is no driver of that name built in"),
        ({"AUTHN": "ssh", "AUTHZ": "quota"}, "AUTH_MAD/AUTHZ: this release has no drivers of authorization"),
        ({"AUTHN": "ssh", "ARGUMENTS": "-t many"}, "AUTH_MAD/ARGUMENTS -t many: -t COUNT and -w SECONDS"),
        ({"AUTHN": "ssh", "ARGUMENTS": "-x"}, "AUTH_MAD/ARGUMENTS -x : -t COUNT and -w SECONDS"),
    ],
)
def test_drivers_that_cannot_be_had_are_told_at_the_start(
    places: Places, section: dict[str, str], said: str
) -> None:
    with pytest.raises(DriverError) as error:
        drivers(Settings(auth_mad={"": section}), places)
    assert said in str(error.value)
