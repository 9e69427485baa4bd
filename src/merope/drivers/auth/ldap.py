"""ldap: the name is searched in a directory, and the secret is the password of the entry that is found.

Who is not known yet becomes a user with the groups that the entry's groups are mapped to. The user's
PASSWORD is the entry's DN, for people to read: what counts is what the directory says at each login.
"""

import logging
from pathlib import Path
from urllib.parse import quote, unquote

from merope.drivers.auth import ldap_settings, options
from merope.drivers.auth.base import Places, Refused
from merope.drivers.auth.ldap_directory import Directory, Entry, Unreachable
from merope.drivers.auth.ldap_settings import LdapSettings, Server
from merope.drivers.auth.options import Scalar
from merope.drivers.errors import DriverError
from merope.model.authentication import Credentials, Identity, Membership

log = logging.getLogger("merope.auth")

DRIVER = "ldap"
#: What the original leaves as it is when it writes a DN without blanks.
_SAFE = "-_.!~*'();/?:@&=+$,[]"
_LONGEST_NAME = 256


class LdapDriver:
    #: OpenLDAP's library is in C, and some builds of it wait for ever where TLS stops half-way.
    isolated = True

    def __init__(self, places: Places) -> None:
        self._path = places.etc / "auth" / ldap_settings.FILE
        self._home = places.home
        self._read: tuple[tuple[int, int], LdapSettings] | None = None

    def seconds(self) -> float:
        """Every server in turn."""
        return float(sum(server.timeout for server in self._settings().servers.values()))

    def attributes(self) -> frozenset[str]:
        servers = self._settings().servers.values()
        return frozenset(server.mapping_key for server in servers if server.mapping_generate)

    def check(self) -> None:
        if not self._path.exists():
            return
        for server in self._settings().servers.values():
            if server.password and self._path.stat().st_mode & 0o007:
                log.warning(
                    "%s has a password in it and others can read it: chmod o= %s", self._path, self._path
                )
            if server.encryption is None and not is_here(server.host):
                log.warning("%s: passwords go to %s in the clear (:encryption:)", self._path, server.url)

    def authenticate(self, credentials: Credentials) -> Identity:
        settings = self._settings()
        name, secret = unquote(credentials.name), unquote(credentials.secret)
        if not secret or "\0" in name + secret or not 0 < len(name) <= _LONGEST_NAME:
            raise Refused("the name or the password is empty or has characters that no directory takes")
        searched, groups = settings.asked(name)
        if not groups:
            raise Refused("no pattern of :match_user_regex: matches the name")
        reasons: list[str] = []
        asked = 0
        for group in groups:
            answer = self._ask_first(group, searched, secret, credentials, reasons)
            if isinstance(answer, Identity):
                return _named(answer, name)
            asked += answer
        # Only where every server could be asked is it sure that the credentials are wrong.
        trouble = asked < len(groups)
        raise (DriverError if trouble else Refused)("; ".join(reasons))

    def _ask_first(
        self, group: list[Server], name: str, secret: str, credentials: Credentials, reasons: list[str]
    ) -> Identity | bool:
        """The answer of the first server that can be asked; whether there was one that said no."""
        for server in group:
            try:
                return self._ask(server, name, secret, credentials)
            except Unreachable as error:
                log.warning("%s", error)
                reasons.append(str(error))
            except Refused as error:
                reasons.append(f"{server.name}: {error}")
                return True
        return False

    def _ask(self, server: Server, name: str, secret: str, credentials: Credentials) -> Identity:
        with Directory(server) as directory:
            directory.bind_searcher()
            user = directory.user(name)
            groups = directory.groups(user)
            if server.group is not None and not _holds(directory, server, user, groups):
                raise Refused("the user is not in the group that users must be in")
            if not directory.accepts(user.dn, secret):
                raise Refused("the directory does not accept the password")
        mapping = self._mapping(server, credentials)
        return Identity(
            driver=DRIVER,
            password=quote(user.dn, safe=_SAFE),
            groups=_memberships(server, groups, mapping),
            decides_admins=server.group_admin_group_dn is not None,
        )

    def _mapping(self, server: Server, credentials: Credentials) -> dict[str, int]:
        """Groups (ids) by the DN of the directory's group, in small letters."""
        if server.mapping_generate:
            found = credentials.mappings.get(server.mapping_key, {})
        else:
            found = _from_file(self._home / server.mapping_filename)
        return {dn.lower(): gid for dn, gid in found.items()}

    def _settings(self) -> LdapSettings:
        """As the file is now: it is read again when it has changed."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise DriverError(f"the driver ldap is not configured: {self._path}: {error.strerror}") from error
        stamp = (status.st_mtime_ns, status.st_size)
        if self._read is None or self._read[0] != stamp:
            self._read = (stamp, ldap_settings.load(self._path))
        return self._read[1]


def is_here(host: str) -> bool:
    """Whether a host is this machine, as it is written."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _holds(directory: Directory, server: Server, user: Entry, groups: list[str]) -> bool:
    assert server.group is not None
    nested = server.nested_groups and server.group.lower() in (dn.lower() for dn in groups)
    return nested or directory.is_member(user, server.group)


def _memberships(server: Server, groups: list[str], mapping: dict[str, int]) -> tuple[Membership, ...]:
    names = [dn.lower() for dn in groups]
    admin = server.group_admin_group_dn is not None and server.group_admin_group_dn.lower() in names
    gids = list(dict.fromkeys(mapping[dn] for dn in names if dn in mapping))
    if gids:
        return tuple(Membership(gid, admin) for gid in gids)
    if server.mapping_default is None:
        raise Refused("the user is in no group that is mapped, and there is no :mapping_default:")
    return (Membership(server.mapping_default),)


def _named(identity: Identity, name: str) -> Identity:
    """With the user's name as the original writes it: in small letters and without blanks.

    Whatever letters the directory takes for the same make the same user: who is one entry has one quota.
    """
    return Identity(
        identity.driver,
        quote(name.lower(), safe=_SAFE).lower(),
        identity.password,
        identity.groups,
        identity.decides_admins,
    )


def _from_file(path: Path) -> dict[str, int]:
    table, problems = options.read(path)
    found = {}
    for dn, tree in table.items.items():
        text = tree.text if isinstance(tree, Scalar) else None
        if text is None or not (text.isascii() and text.isdecimal()):
            problems.add(table.lines[dn], "lines of the form DN: id of a group are expected")
        else:
            found[dn] = int(text)
    problems.done()
    return found
