"""A dispatcher on a sandbox cloud in memory, with authentication drivers and users of each."""

import hashlib
from pathlib import Path
from typing import Any

from tests.api.dispatch_harness import START, Sandbox
from tests.drivers.auth.authority import KEYS, Issued, issue, name

from merope.api.dispatch import Dispatcher
from merope.client import tokens
from merope.core.transaction import SYSTEM, Transaction
from merope.daemon.authentication import Authentication, drivers
from merope.daemon.preparations import Preparations
from merope.drivers.auth.base import Places
from merope.engine.cloud import Inputs
from merope.model.group import Group
from merope.model.user import User

SERVICE_PASSWORD = "service-secret"
STORED_SERVICE_PASSWORD = hashlib.sha256(SERVICE_PASSWORD.encode()).hexdigest()
BUILT_IN = "plain,ssh,x509,ldap,server_cipher,server_x509"


class Door(Sandbox):
    """`directory/etc` and `directory/home` are where drivers look; files there come before the door."""

    def __init__(self, directory: Path, authn: str = BUILT_IN, **settings: Any) -> None:
        conf = {"EXECUTABLE": "one_auth_mad", "AUTHN": authn}
        super().__init__(directory, auth_mad={"": conf}, **settings)
        places = Places(directory / "etc", directory / "home")
        enabled = drivers(self.settings, places)
        self.authentication = Authentication(self.cloud, self.settings, enabled, places)
        prepare = Preparations(self.cloud, self.hands, self.store, self.threads, self.recorder).table
        self.dispatcher = Dispatcher(
            self.cloud,
            self.store,
            executor=self.threads,
            prepare=prepare,
            call_log=self.call_log,
            drivers=self.authentication,
        )

    async def close(self) -> None:
        await self.authentication.close()
        await super().close()

    def user(self, oid: int) -> User:
        found = self.state.pools["user_pool"].parsed(oid)
        assert isinstance(found, User)
        return found

    def named(self, user: str) -> User | None:
        oid = self.state.pools["user_pool"].named(user, 0)
        return None if oid is None else self.user(oid)

    def group(self, oid: int) -> Group:
        found = self.state.pools["group_pool"].parsed(oid)
        assert isinstance(found, Group)
        return found

    async def edit(self, oid: int, **fields: Any) -> None:
        def command(tx: Transaction) -> int:
            own = tx.edit(User, oid)
            for key, value in fields.items():
                setattr(own, key, value)
            return oid

        self.cloud.execute(command, Inputs(SYSTEM, internal=True))
        await self.settle()

    async def outcome(self, session: str) -> tuple[int, str]:
        """Code and message of a call that anybody who is logged in may make."""
        answer = await self.call("one.user.info", -1, session=session)
        return answer.code, answer.message

    async def who(self, session: str) -> str:
        """The document of whom a session that must be right is."""
        document = await self.value("one.user.info", -1, session=session)
        assert isinstance(document, str)
        return document

    def portrait(self) -> dict[str, dict[int, str]]:
        """Everything that is stored, to be compared."""
        return {
            table: {oid: entry.body for oid, entry in pool.entries.items()}
            for table, pool in self.state.pools.items()
        }


class Keys:
    """Keys and certificates of ann, bob, the services and two authorities, and the files of the drivers."""

    def __init__(self, directory: Path) -> None:
        self.root = issue(name("Root"), KEYS[0], authority=True, now=START)
        self.other_root = issue(name("Root"), KEYS[1], authority=True, now=START)
        self.ann = issue(name("Ann Lee"), KEYS[2], self.root, now=START)
        self.bob = issue(name("bob"), KEYS[3], self.root, now=START)
        self.services = issue(name("services"), KEYS[4], now=START)
        auth = directory / "etc" / "auth"
        self.root.put(auth / "certificates")
        (auth / "cert.pem").write_text(self.services.pem)
        (auth / "server_x509_auth.conf").write_text(":srv_user: signer\n")

    def name_of(self, made: Issued) -> str:
        return tokens.certificate_name(made.pem.encode())

    def public(self, made: Issued) -> str:
        return tokens.public_key(made.key)


def ssh(made: Issued, user: str, end: int) -> str:
    return tokens.user_token(made.key, user, end)


def x509(made: Issued, user: str, end: int) -> str:
    return tokens.x509_token(made.key, [made.pem], user, end)


def cipher(target: str, end: int, password: str = SERVICE_PASSWORD) -> str:
    return tokens.server_cipher_session("serveradmin", password, target, end)


def signer(made: Issued, target: str, end: int, service: str = "signer") -> str:
    return tokens.server_x509_session(made.key, service, target, end)
