"""A directory for tests: OpenLDAP's slapd on loopback ports of its own, with people and groups in it."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.drivers.auth.authority import KEYS, Issued, issue, name

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/lib/slapd:/usr/bin")
SUFFIX = "dc=cloud,dc=test"
MANAGER, MANAGER_PASSWORD = f"cn=manager,{SUFFIX}", "manager-secret"
PEOPLE, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"

_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {home}/slapd.pid
TLSCACertificateFile {home}/ca.pem
TLSCertificateFile {home}/server.pem
TLSCertificateKeyFile {home}/server.key
# As careless as a server can be: with an empty password it lets everybody in as nobody.
allow bind_anon_cred bind_anon_dn
database mdb
suffix "{suffix}"
rootdn "{manager}"
rootpw {password}
directory {home}/data
maxsize 16777216
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""


@dataclass
class Slapd:
    """`ldap` and `ldaps` are ports; `authority` signed the server's certificate, for 127.0.0.1 only."""

    home: Path
    ldap: int
    ldaps: int
    authority: Issued
    process: "subprocess.Popen[bytes]"

    @property
    def ca_file(self) -> Path:
        return self.home / "ca.pem"

    def manager(self) -> Any:
        import ldap

        connection = ldap.initialize(f"ldap://127.0.0.1:{self.ldap}")
        connection.simple_bind_s(MANAGER, MANAGER_PASSWORD)
        return connection

    def add(self, dn: str, **attributes: str | list[str]) -> str:
        connection = self.manager()
        values = {key: [text] if isinstance(text, str) else text for key, text in attributes.items()}
        connection.add_s(dn, [(key, [text.encode() for text in texts]) for key, texts in values.items()])
        connection.unbind_s()
        return dn

    def person(self, uid: str, password: str, common: str = "", **more: str | list[str]) -> str:
        return self.add(
            f"uid={uid},{PEOPLE}",
            objectClass="inetOrgPerson",
            cn=common or uid,
            sn="Doe",
            userPassword=password,
            **more,
        )

    def group(self, common: str, *members: str) -> str:
        return self.add(f"cn={common},{GROUPS}", objectClass="groupOfNames", cn=common, member=list(members))

    def change(self, dn: str, attribute: str, *values: str) -> None:
        import ldap

        connection = self.manager()
        connection.modify_s(dn, [(ldap.MOD_REPLACE, attribute, [value.encode() for value in values])])
        connection.unbind_s()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def running(home: Path) -> Iterator[Slapd]:
    """A directory with an empty tree: the suffix, ou=people and ou=groups."""
    authority = issue(name("Directory CA"), KEYS[0], authority=True)
    server = issue(name("directory"), KEYS[1], authority, hosts=("127.0.0.1",))
    home.mkdir(parents=True)
    (home / "data").mkdir()
    (home / "ca.pem").write_text(authority.pem)
    (home / "server.pem").write_text(server.pem)
    (home / "server.key").write_text(server.key_pem)
    conf = _CONF.format(home=home, suffix=SUFFIX, manager=MANAGER, password=MANAGER_PASSWORD)
    (home / "slapd.conf").write_text(conf)
    made = _started(home, authority)
    try:
        made.add(SUFFIX, objectClass=["dcObject", "organization"], dc="cloud", o="Clouds")
        for dn, unit in ((PEOPLE, "people"), (GROUPS, "groups")):
            made.add(dn, objectClass="organizationalUnit", ou=unit)
        yield made
    finally:
        made.stop()


def _started(home: Path, authority: Issued) -> Slapd:
    assert SLAPD is not None
    plain, secure = _free_ports()
    urls = f"ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{secure}/"
    log = (home / "slapd.log").open("wb")
    process = subprocess.Popen(
        [SLAPD, "-h", urls, "-f", str(home / "slapd.conf"), "-d", "0"], stdout=log, stderr=log
    )
    log.close()
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", secure), 1).close()
            return Slapd(home, plain, secure, authority, process)
        except OSError:
            assert process.poll() is None, (home / "slapd.log").read_text()
            time.sleep(0.02)
    process.kill()
    raise AssertionError("slapd does not answer")


def _free_ports() -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [made.getsockname()[1] for made in sockets]
    for made in sockets:
        made.close()
    return ports
