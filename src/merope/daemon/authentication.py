"""The authentication drivers of a cloud: made as AUTH_MAD says, asked in threads, within a time."""

import asyncio
import logging
import os
import re
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from merope.core import external_user
from merope.core.login import Verdict, enabled_drivers
from merope.drivers import registry
from merope.drivers.auth.base import AuthDriver, Places, Refused
from merope.drivers.auth.executable import SECONDS, ExecutableDriver, built_in_name
from merope.drivers.errors import DriverError
from merope.drivers.registry import Kind
from merope.model.authentication import Credentials, Identity
from merope.model.settings import Settings
from merope.model.state import State

log = logging.getLogger("merope.auth")

#: Questions to drivers at the same time (-t in ARGUMENTS of AUTH_MAD).
AT_ONCE = 8
#: Seconds beyond a driver's own time after which nobody waits for it any more.
_GRACE = 5.0
#: Seconds that the slowest driver takes that bounds its time itself: all servers of a directory in turn.
_LONGEST = 120.0
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


def drivers(settings: Settings, places: Places) -> dict[str, AuthDriver]:
    """The drivers that are enabled, by name. Raises DriverError with all that is wrong."""
    found: dict[str, AuthDriver] = {}
    problems: list[str] = []
    for name in enabled_drivers(settings):
        try:
            made = _made(name, places, _arguments(settings).seconds)
            made.check()
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


def _made(name: str, places: Places, seconds: float) -> AuthDriver:
    if not _NAME.fullmatch(name):
        raise DriverError("the name of a driver has letters, digits, and _ . - between them only")
    meant = built_in_name(places.home, name)
    if meant in registry.names(Kind.AUTH):
        return registry.auth(meant)(places)
    return ExecutableDriver(places, name, seconds)


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

    def __init__(self, cloud: Cloud, settings: Settings, made: Mapping[str, AuthDriver]) -> None:
        arguments = _arguments(settings)
        self.at_once = arguments.at_once
        self._seconds = max(_LONGEST, arguments.seconds) + _GRACE
        self._cloud = cloud
        self._drivers = made
        self._threads = ThreadPoolExecutor(self.at_once, "auth")

    async def ask(self, verdict: Verdict) -> Identity | None:
        """Who the credentials of a verdict are; None, and the log says why, when they get nobody in."""
        driver = self._drivers.get(verdict.driver)
        # A name that nobody has may be a password in the wrong place.
        who = f"user {verdict.holder}" if verdict.holder >= 0 else "a name that is not known"
        if driver is None:
            log.warning("%s: the driver %s is not in AUTH_MAD/AUTHN", who, verdict.driver)
            return None
        loop = asyncio.get_running_loop()
        try:
            credentials = self._credentials(driver, verdict)
            asked = loop.run_in_executor(self._threads, driver.authenticate, credentials)
            return await asyncio.wait_for(asked, self._seconds)
        except Refused as reason:
            log.warning("driver %s refused %s: %s", verdict.driver, who, reason)
        except DriverError as error:
            log.error("driver %s could not say who %s is: %s", verdict.driver, who, error)
        except TimeoutError:
            log.error("driver %s did not answer within %.0f seconds", verdict.driver, self._seconds)
        except Exception as error:
            # Its text may repeat what was sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("driver %s failed: %s\n%s", verdict.driver, type(error).__name__, where)
        return None

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

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def places(home: Path, config_file: Path | None) -> Places:
    """auth/ is beside oned.conf; where there is none, in etc/ of ONE_LOCATION, else in the home."""
    if config_file is not None:
        return Places(config_file.parent, home)
    location = os.environ.get("ONE_LOCATION")
    return Places(Path(location) / "etc" if location else home, home)
