"""One server of a directory, for one login: find the entry, its groups, and try the password.

What a user typed becomes part of a filter only in its escaped form, and never part of a DN. Every call is
bounded by what is left of the time that the login may take.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from merope.drivers.auth import tls_check
from merope.drivers.auth.base import Refused
from merope.drivers.auth.ldap_settings import Server
from merope.drivers.errors import DriverError

MISSING = "the library python-ldap is missing: install merope[ldap]"
#: Entries that a search may find, groups that a user may be in, and how deeply groups may be nested.
MOST_ENTRIES, MOST_GROUPS, DEEPEST = 2, 5000, 20
#: Groups whose own groups are asked for in one search.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry's DN, and the attributes that were asked for, by name in small letters."""

    dn: str
    attributes: dict[str, list[str]]

    def all(self, attribute: str) -> list[str]:
        return [self.dn] if attribute.lower() == "dn" else self.attributes.get(attribute.lower(), [])


class Unreachable(DriverError):  # noqa: N818 - it says what the server is
    """The server could not be asked: another one may be."""


class Directory:
    """`with Directory(server) as directory`; raises Unreachable whenever the server cannot be asked."""

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._clock = clock
        self._deadline = clock() + server.timeout
        if server.encryption is not None:
            self._check_certificate()
        self._connection = self._connected()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close(self._connection)

    def bind_searcher(self) -> None:
        """As :user:, or anonymously. Raises DriverError when the server does not accept that account."""
        ldap = _library()
        server = self._server
        try:
            self._bind(self._connection, server.user or "", server.password or "")
        except (ldap.INVALID_CREDENTIALS, ldap.INVALID_DN_SYNTAX, ldap.INAPPROPRIATE_AUTH) as error:
            raise Unreachable(
                f"{server.url} does not accept :user: and :password: of {server.name}"
            ) from error

    def user(self, name: str) -> Entry:
        """The one entry whose :user_field: is the name. Raises Refused when there is none, or several."""
        ldap, server = _library(), self._server
        matches = f"({server.user_field}={_escaped(name)})"
        wanted = [server.user_field, "memberOf"]
        if server.user_group_field.lower() != "dn":
            wanted.append(server.user_group_field)
        found = self._search(
            server.base,
            ldap.SCOPE_SUBTREE,
            f"(&{matches}{server.user_filter})" if server.user_filter else matches,
            wanted,
            MOST_ENTRIES,
        )
        if len(found) != 1:
            raise Refused("several entries have that name" if found else "no entry has that name")
        # Servers match without regard to blanks around a name; the cloud would make another user of each.
        if not any(value.lower() == name.lower() for value in found[0].all(server.user_field)):
            raise Refused("the entry's name is written in another way")
        return found[0]

    def is_member(self, user: Entry, group: str) -> bool:
        ldap, server = _library(), self._server
        values = user.all(server.user_group_field)
        if not values:
            return False
        names = f"({server.group_field}={_escaped(values[0])})"
        return bool(self._search(group, ldap.SCOPE_BASE, names, ["1.1"], MOST_ENTRIES))

    def groups(self, user: Entry) -> list[str]:
        """The DNs of the user's groups, those that they are in too where groups may be nested."""
        server = self._server
        if server.rfc2307bis:
            direct = user.all("memberOf")
        else:
            direct = self._groups_with(user.all(server.user_group_field)[:1])
        return self._and_theirs(direct) if server.nested_groups else direct

    def _and_theirs(self, direct: list[str]) -> list[str]:
        known = {dn.lower(): dn for dn in direct}
        latest = list(known.values())
        for _ in range(DEEPEST):
            above = self._groups_with(latest) if latest else []
            latest = [dn for dn in dict.fromkeys(above) if dn.lower() not in known]
            known |= {dn.lower(): dn for dn in latest}
            if len(known) > MOST_GROUPS:
                raise Refused(f"the user is in more than {MOST_GROUPS} groups")
        return list(known.values())

    def _groups_with(self, members: list[str]) -> list[str]:
        ldap, server = _library(), self._server
        found: list[str] = []
        for start in range(0, len(members), _AT_ONCE):
            parts = (f"({server.group_field}={_escaped(dn)})" for dn in members[start : start + _AT_ONCE])
            base = server.group_base or server.base
            entries = self._search(base, ldap.SCOPE_SUBTREE, f"(|{''.join(parts)})", ["1.1"], MOST_GROUPS)
            found += [entry.dn for entry in entries]
        return found

    def accepts(self, dn: str, password: str) -> bool:
        """Whether the server lets the entry in with that password, on a connection of its own."""
        # A server answers an empty password with success: it makes the session an anonymous one (RFC 4513).
        if not password or "\0" in password or not dn:
            return False
        ldap = _library()
        connection = self._connected()
        try:
            self._bind(connection, dn, password)
        except (ldap.INVALID_CREDENTIALS, ldap.INAPPROPRIATE_AUTH, ldap.UNWILLING_TO_PERFORM):
            return False
        finally:
            _close(connection)
        return True

    def _connected(self) -> Any:
        ldap, server = _library(), self._server
        with _trouble(server):
            connection = ldap.initialize(server.url)
            connection.set_option(ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3)
            # A referral would be followed to any server, with this one's password.
            connection.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, self._left())
            connection.set_option(ldap.OPT_TIMEOUT, self._left())
            if server.encryption is not None:
                self._verify_certificates(connection)
            if server.encryption == "start_tls":
                connection.start_tls_s()
        return connection

    def _check_certificate(self) -> None:
        server, authorities = self._server, self._server.ca_file or _system_authorities()
        start_tls = server.encryption == "start_tls"
        try:
            tls_check.check(server.host, server.port_number, authorities, self._left(), start_tls=start_tls)
        except tls_check.TlsFault as fault:
            raise Unreachable(f"{server.url}: {fault}") from fault

    def _verify_certificates(self, connection: Any) -> None:
        ldap = _library()
        connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        connection.set_option(ldap.OPT_X_TLS_CACERTFILE, self._server.ca_file or _system_authorities())
        connection.set_option(ldap.OPT_X_TLS_PROTOCOL_MIN, ldap.OPT_X_TLS_PROTOCOL_TLS1_2)
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)

    def _bind(self, connection: Any, dn: str, password: str) -> None:
        with _trouble(self._server):
            number = connection.simple_bind(dn, password)
            connection.result3(number, timeout=self._left())

    def _search(self, base: str, scope: int, text: str, wanted: list[str], most: int) -> list[Entry]:
        ldap = _library()
        try:
            with _trouble(self._server):
                number = self._connection.search_ext(
                    base, scope, text, wanted, timeout=self._left(), sizelimit=most
                )
                data = self._connection.result3(number, timeout=self._left())[1]
        except ldap.NO_SUCH_OBJECT:
            return []
        except ldap.SIZELIMIT_EXCEEDED as error:
            raise Refused(f"a search found more than {most} entries") from error
        # What has no DN is a reference to another server.
        return [_entry(dn, attributes) for dn, attributes in data if dn]

    def _left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise Unreachable(f"{self._server.url} did not answer within {self._server.timeout} seconds")
        return max(left, 0.1)


class _trouble:  # noqa: N801 - it reads as a word of the language: with _trouble(server)
    """Failures of the connection are Unreachable; answers of the server pass."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ldap = _library()
        answers = (
            ldap.INVALID_CREDENTIALS,
            ldap.INVALID_DN_SYNTAX,
            ldap.INAPPROPRIATE_AUTH,
            ldap.UNWILLING_TO_PERFORM,
            ldap.NO_SUCH_OBJECT,
            ldap.SIZELIMIT_EXCEEDED,
        )
        if isinstance(error, ldap.TIMEOUT):
            seconds = self._server.timeout
            raise Unreachable(f"{self._server.url} did not answer within {seconds} seconds") from error
        if isinstance(error, ldap.LDAPError) and not isinstance(error, answers):
            raise Unreachable(f"{self._server.url}: {_sentence(error)}") from error


def _sentence(error: Any) -> str:
    """What a server says about an error may repeat the DN that was sent: only what the library says."""
    found = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return str(found.get("desc", type(error).__name__))


def _entry(dn: str, attributes: dict[str, Iterable[bytes]]) -> Entry:
    return Entry(
        dn,
        {
            name.lower(): [value.decode("utf-8", "replace") for value in values]
            for name, values in attributes.items()
        },
    )


def _escaped(value: str) -> str:
    """A value in a filter: everything but plain letters and digits as \\XX (RFC 4515)."""
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 0x80 else f"\\{byte:02x}"
        for byte in value.encode("utf-8", "surrogatepass")
    )


def _close(connection: Any) -> None:
    from contextlib import suppress

    with suppress(_library().LDAPError):
        connection.unbind_s()


def _system_authorities() -> str:
    import ssl

    found = ssl.get_default_verify_paths().cafile
    for path in filter(None, (found, "/etc/ssl/certs/ca-certificates.crt")):
        return path
    raise DriverError("the system has no file of trusted authorities: name one with :ca_file:")


def _library() -> Any:
    try:
        import ldap
    except ImportError as error:
        raise DriverError(MISSING) from error
    return ldap
