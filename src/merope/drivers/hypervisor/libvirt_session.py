"""A connection to libvirtd that comes back by itself, and its errors as ours."""

import os
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.libvirt_api import Binding, BindingError, Code, Connection, ErrorSource, load

T = TypeVar("T")


class LibvirtError(DriverError):
    """What libvirt answered. `code` is its number; `lost` says that the connection broke."""

    def __init__(self, message: str, code: int = -1, *, lost: bool = False) -> None:
        super().__init__(message, retry_safe=lost)
        self.code = code
        self.lost = lost


class Session:
    """Runs operations on a connection to `uri`, opened when first needed.

    An operation whose connection breaks is done once more on a new one, so it has to be idempotent as a
    whole. Safe for several threads; a forked process opens its own.
    """

    def __init__(self, uri: str, load_binding: Callable[[], Binding] = load) -> None:
        self.uri = uri
        self._load = load_binding
        self._binding: Binding | None = None
        self._connection: Connection | None = None
        self._process = 0
        self._lock = threading.Lock()

    def run(self, operation: Callable[[Connection], T]) -> T:
        try:
            return self.once(operation)
        except LibvirtError as error:
            if not error.lost:
                raise
        return self.once(operation)

    def once(self, operation: Callable[[Connection], T]) -> T:
        """The operation without a second try; LibvirtError when libvirt refuses it."""
        binding, connection = self._open()
        try:
            return operation(connection)
        except binding.libvirtError as error:
            raise self._translated(cast(BindingError, error), connection) from error

    def attempt(self, operation: Callable[[], T], *expected: Code) -> T | None:
        """Part of an operation: its answer, or None when libvirt refuses with one of the `expected` codes."""
        if self._binding is None:
            raise DriverError("an operation on libvirt outside of a session")
        try:
            return operation()
        except self._binding.libvirtError as error:
            if cast(BindingError, error).get_error_code() in expected:
                return None
            raise

    def translated(self, operation: Callable[[], T]) -> T:
        """Part of an operation whose refusal is wanted as LibvirtError at once, to be explained."""
        if self._binding is None or self._connection is None:
            raise DriverError("an operation on libvirt outside of a session")
        connection = self._connection
        try:
            return operation()
        except self._binding.libvirtError as error:
            raise self._translated(cast(BindingError, error), connection) from error

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None and self._binding is not None:
            try:
                connection.close()
            except self._binding.libvirtError:
                return  # a line that is already down needs no hanging up

    def _open(self) -> tuple[Binding, Connection]:
        with self._lock:
            if self._binding is None:
                self._binding = self._load()
            if self._connection is None or self._process != os.getpid():
                try:
                    self._connection = self._binding.open(self.uri)
                except self._binding.libvirtError as error:
                    message = cast(BindingError, error).get_error_message() or str(error)
                    raise DriverError(f"cannot connect to {self.uri}: {message}", retry_safe=True) from error
                self._process = os.getpid()
            return self._binding, self._connection

    def _translated(self, error: BindingError, connection: Connection) -> LibvirtError:
        code = error.get_error_code()
        lost = error.get_error_domain() in (ErrorSource.RPC, ErrorSource.REMOTE) or not self._alive(
            connection
        )
        if lost:
            with self._lock:
                if self._connection is connection:
                    self._connection = None
        return LibvirtError(error.get_error_message() or str(error), -1 if code is None else code, lost=lost)

    def _alive(self, connection: Connection) -> bool:
        if self._binding is None:
            return False
        try:
            return connection.isAlive() == 1
        except self._binding.libvirtError:
            return False
