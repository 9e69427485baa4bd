"""Live migrations: how long they may take, how far they have come, and why a guest cannot move."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.libvirt_api import Code, Migrate
from merope.drivers.hypervisor.libvirt_session import LibvirtError

log = logging.getLogger("merope.migration")

OPTIONS = {
    "--unsafe": Migrate.UNSAFE,
    "--tunnelled": Migrate.TUNNELLED,
    "--compressed": Migrate.COMPRESSED,
    "--auto-converge": Migrate.AUTO_CONVERGE,
}
"""Those of `virsh migrate` that MIGRATE_OPTIONS of kvmrc may have; others are left out."""
_LOOK, _TELL = 0.5, 10.0
_TOTAL, _DONE, _LEFT = 3, 4, 5
"""Places in libvirt's job info, in bytes."""
_MB = 1024 * 1024
_WRONG_CPU = ("incompatible with host CPU", "guest CPU doesn't match specification", "missing features")


class Moving(Protocol):
    """The domain that moves; what is asked of it comes from another thread than the migration."""

    def jobInfo(self) -> list[int]: ...  # noqa: N802 - libvirt's names
    def abortJob(self) -> int: ...  # noqa: N802 - as above


def flags_of(options: str) -> Migrate:
    """The flags of MIGRATE_OPTIONS."""
    flags = Migrate(0)
    for word in options.split():
        flags |= OPTIONS.get(word, Migrate(0))
    return flags


class Watch:
    """Tells now and then how far a migration has come, and ends it when it takes too long.

    libvirt's call returns when the guest has moved: looking at it takes a thread, which ends with the call.
    """

    def __init__(self, domain: Moving, name: str, limit: float) -> None:
        """`limit` in seconds, 0 for none."""
        self._domain = domain
        self._name = name
        self._limit = limit
        self._done = threading.Event()
        self.late = ""
        """How far it had come when it was ended; empty when it was not."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._look, name="migration", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _look(self) -> None:
        passed = told = 0.0
        while not self._done.wait(_LOOK):
            passed += _LOOK
            try:
                info = self._domain.jobInfo()
                if self._limit and passed >= self._limit and not self.late:
                    self.late = _progress(info)
                    self._domain.abortJob()
            except Exception as error:
                # It may have moved in this very moment: then the domain is gone, and nothing is to be ended.
                log.debug("%s: %s", self._name, error)
                continue
            if passed - told >= _TELL:
                told = passed
                log.info("%s moves: %s", self._name, _progress(info))

    def explained(self, error: LibvirtError, destination: str) -> DriverError:
        """The error of the migration, with what to do about it."""
        text = str(error)
        if self.late:
            return DriverError(
                f"{self._name} did not move to {destination} within {self._limit:.0f} s ({self.late}) and "
                "stays: its guest may change memory faster than it is sent; MIGRATE_TIMEOUT and "
                "MIGRATE_OPTIONS (--auto-converge) are in kvmrc, or migrate it without --live"
            )
        if error.code == Code.CPU_INCOMPATIBLE or any(words in text for words in _WRONG_CPU):
            return DriverError(
                f"{self._name} cannot move live to {destination}, whose processor lacks what the guest was "
                f"started with ({text}): give VMs a CPU_MODEL that all hosts of the cluster have "
                "(KVM_CPU_MODELS in onehost show), or migrate it without --live"
            )
        return error


def _progress(info: list[int]) -> str:
    if len(info) <= _LEFT or not info[_TOTAL]:
        return "nothing was sent yet"
    return f"{info[_DONE] // _MB} MB sent, {info[_LEFT] // _MB} of {info[_TOTAL] // _MB} MB left"
