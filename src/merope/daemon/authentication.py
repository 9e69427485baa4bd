"""The authentication drivers of a cloud: made as AUTH_MAD says, asked in threads, within a time."""

import asyncio
import logging
import os
import re
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from merope.core import external_user
from merope.core.login import Verdict, enabled_drivers
from merope.drivers import registry
from merope.drivers.auth.base import AuthDriver, Places, Refused
from merope.drivers.auth.executable import SECONDS, ExecutableDriver, built_in_name
from merope.drivers.errors import DriverError
from merope.drivers.registry import Kind
from merope.engine.job import Answer
from merope.engine.workers import WorkerPool
from merope.model.authentication import Credentials, Identity
from merope.model.settings import Settings
from merope.model.state import State

log = logging.getLogger("merope.auth")

#: Questions to drivers at the same time (-t in ARGUMENTS of AUTH_MAD).
AT_ONCE = 8
#: Seconds beyond a driver's own time after which nobody waits for it any more.
_GRACE = 5.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)


class Cloud(Protocol):
    """The running cloud, as far as drivers are concerned."""

    state: State

    def now(self) -> int: ...


@dataclass(frozen=True)
class _Arguments:
    """ARGUMENTS of AUTH_MAD: `-t` questions at once, `-w` seconds that an executable may take."""

    at_once: int = AT_ONCE
    seconds: float = SECONDS


@dataclass(frozen=True)
class Enabled:
    """A driver, with the name under which it is built in or registered."""

    name: str
    driver: AuthDriver


_FIELDS = {"-t": "at_once", "--threads": "at_once", "-w": "seconds", "--timeout": "seconds"}


def drivers(settings: Settings, places: Places) -> dict[str, Enabled]:
    """The drivers that are enabled, by name. Raises DriverError with all that is wrong."""
    found: dict[str, Enabled] = {}
    problems: list[str] = []
    for name in enabled_drivers(settings):
        try:
            made = _made(name, places, _arguments(settings).seconds)
            made.driver.check()
        except DriverError as error:
            problems.append(f"AUTH_MAD/AUTHN {name}: {error}")
            continue
        found[name] = made
    for section in settings.auth_mad.values():
        if section.get("AUTHZ"):
            problems.append("AUTH_MAD/AUTHZ: this release has no drivers of authorization: leave it out")
    if problems:
        raise DriverError("\n".join(problems))
    return found


def _made(name: str, places: Places, seconds: float) -> Enabled:
    if not _NAME.fullmatch(name):
        raise DriverError("the name of a driver has letters, digits, and _ . - between them only")
    meant = built_in_name(places.home, name)
    # Looking for third parties' takes time, which a start has not got for those that are built in.
    if meant in registry.BUILT_IN[Kind.AUTH] or meant in registry.names(Kind.AUTH):
        return Enabled(meant, registry.auth(meant)(places))
    return Enabled(name, ExecutableDriver(places, name, seconds))


def _arguments(settings: Settings) -> _Arguments:
    """Raises DriverError."""
    found = _Arguments()
    for section in settings.auth_mad.values():
        words = section.get("ARGUMENTS", "").split()
        given = dict(zip(words[::2], [*words[1::2], ""], strict=False))
        for option, word in given.items():
            if option not in ("-t", "-w") or not re.fullmatch("[1-9][0-9]{0,3}", word):
                raise DriverError(f"AUTH_MAD/ARGUMENTS {option} {word}: -t COUNT and -w SECONDS are expected")
        found = _Arguments(int(given.get("-t", AT_ONCE)), float(given.get("-w", SECONDS)))
    return found


class Authentication:
    """Answers the door's questions. Used from the loop's thread; `close` when nobody asks any more."""

    def __init__(
        self, cloud: Cloud, settings: Settings, enabled: Mapping[str, Enabled], places: Places
    ) -> None:
        self.at_once = _arguments(settings).at_once
        self._cloud = cloud
        self._enabled = enabled
        self._places = places
        self._threads = ThreadPoolExecutor(self.at_once, "auth")
        self._workers = WorkerPool(places.home, Path(settings.datastore_location))

    async def ask(self, verdict: Verdict) -> Identity | None:
        """Who the credentials of a verdict are; None, and the log says why, when they get nobody in."""
        enabled = self._enabled.get(verdict.driver)
        # A name that nobody has may be a password in the wrong place.
        who = f"user {verdict.holder}" if verdict.holder >= 0 else "a name that is not known"
        if enabled is None:
            log.warning("%s: the driver %s is not in AUTH_MAD/AUTHN", who, verdict.driver)
            return None
        try:
            return await self._asked(enabled, verdict)
        except Refused as reason:
            log.warning("driver %s refused %s: %s", verdict.driver, who, reason)
        except DriverError as error:
            log.error("driver %s could not say who %s is: %s", verdict.driver, who, error)
        except TimeoutError:
            log.error("driver %s did not answer in time", verdict.driver)
        except Exception as error:
            # Its text may repeat what was sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("driver %s failed: %s\n%s", verdict.driver, type(error).__name__, where)
        return None

    async def _asked(self, enabled: Enabled, verdict: Verdict) -> Identity:
        credentials = self._credentials(enabled.driver, verdict)
        seconds = enabled.driver.seconds() + _GRACE
        if enabled.driver.isolated:
            return await self._by_worker(enabled.name, credentials, seconds)
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._threads, enabled.driver.authenticate, credentials)
        return await asyncio.wait_for(asked, seconds)

    async def _by_worker(self, name: str, credentials: Credentials, seconds: float) -> Identity:
        """In a process that is killed when it does not answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        request = {
            "probe": "authenticate",
            "driver": name,
            "etc": str(self._places.etc),
            "home": str(self._places.home),
            "credentials": asdict(credentials),
        }
        handle = self._workers.probe(request, seconds, done)
        try:
            answer = await future
        except asyncio.CancelledError:
            handle.cancel()
            raise
        if not answer.ok:
            raise DriverError(answer.message)
        if "refused" in answer.data:
            raise Refused(answer.data["refused"])
        return Identity.from_json(answer.data["identity"])

    def _credentials(self, driver: AuthDriver, verdict: Verdict) -> Credentials:
        state = self._cloud.state
        return Credentials(
            verdict.name,
            verdict.stored,
            verdict.secret,
            self._cloud.now(),
            verdict.target,
            verdict.egid,
            {name: external_user.mapping(state, name) for name in driver.attributes()},
        )

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._workers.close()


def places(home: Path, config_file: Path | None) -> Places:
    """auth/ is beside oned.conf; where there is none, in etc/ of ONE_LOCATION, else in the home."""
    if config_file is not None:
        return Places(config_file.parent, home)
    location = os.environ.get("ONE_LOCATION")
    return Places(Path(location) / "etc" if location else home, home)
