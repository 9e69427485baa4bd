"""The part of libvirt's Python binding that the driver uses, with types.

The binding is optional (`merope[kvm]`) and untyped in places, so this is the only module that touches it.
"""

# The names below are libvirt's own.
# ruff: noqa: N802, N803

import importlib
from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import Any, Protocol, cast

from merope.drivers.errors import DriverError


class Code(IntEnum):
    """virErrorNumber: the errors that the driver tells apart."""

    INTERNAL_ERROR = 1
    NO_SUPPORT = 3
    INVALID_ARG = 8
    OPERATION_FAILED = 9
    XML_ERROR = 27
    NO_DOMAIN = 42
    OPERATION_INVALID = 55
    CONFIG_UNSUPPORTED = 67
    OPERATION_TIMEOUT = 68
    NO_DOMAIN_SNAPSHOT = 72
    OPERATION_ABORTED = 78
    CPU_INCOMPATIBLE = 91
    DEVICE_MISSING = 99


class ErrorSource(IntEnum):
    """virErrorDomain: errors of the line to libvirtd, not of what was asked."""

    RPC = 7
    REMOTE = 13


class State(IntEnum):
    """virDomainState."""

    NOSTATE = 0
    RUNNING = 1
    BLOCKED = 2
    PAUSED = 3
    SHUTDOWN = 4
    SHUTOFF = 5
    CRASHED = 6
    PMSUSPENDED = 7


class Paused(IntEnum):
    """virDomainPausedReason."""

    USER = 1
    MIGRATION = 2
    SAVE = 3
    DUMP = 4
    IOERROR = 5
    WATCHDOG = 6
    FROM_SNAPSHOT = 7
    SHUTTING_DOWN = 8
    SNAPSHOT = 9
    CRASHED = 10
    STARTING_UP = 11
    POSTCOPY = 12
    POSTCOPY_FAILED = 13


class ShutOff(IntEnum):
    """virDomainShutoffReason: those that are nobody's wish."""

    CRASHED = 3
    FAILED = 6


class Create(IntFlag):
    NONE = 0
    VALIDATE = 16


class Undefine(IntFlag):
    MANAGED_SAVE = 1
    SNAPSHOTS_METADATA = 2
    NVRAM = 4


class SaveImage(IntFlag):
    SECURE = 1


class Migrate(IntFlag):
    LIVE = 1
    PEER2PEER = 2
    TUNNELLED = 4
    NON_SHARED_DISK = 64
    UNSAFE = 512
    COMPRESSED = 2048
    AUTO_CONVERGE = 8192


class Affect(IntFlag):
    """virDomainDeviceModifyFlags."""

    LIVE = 1
    FORCE = 4


class BlockResize(IntFlag):
    BYTES = 1


class BlockCopy(IntFlag):
    TRANSIENT_JOB = 4


class Snapshot(IntFlag):
    """virDomainSnapshotCreateFlags."""

    REDEFINE = 1
    NO_METADATA = 4
    DISK_ONLY = 16
    REUSE_EXT = 32
    QUIESCE = 64
    ATOMIC = 128


class SnapshotDelete(IntFlag):
    METADATA_ONLY = 2


class SnapshotRevert(IntFlag):
    RUNNING = 1
    FORCE = 4


class Stats(IntFlag):
    STATE = 1
    CPU_TOTAL = 2
    BALLOON = 4
    VCPU = 8
    INTERFACE = 16
    BLOCK = 32


class AllStats(IntFlag):
    NONE = 0
    NOWAIT = 1 << 29


StatValues = dict[str, int | str | bool]


class SnapshotHandle(Protocol):
    """virDomainSnapshot."""

    def getName(self) -> str: ...
    def getXMLDesc(self, flags: int = 0) -> str: ...
    def delete(self, flags: int = 0) -> int: ...


class DomainHandle(Protocol):
    """A domain as libvirt hands it out (virDomain)."""

    def name(self) -> str: ...
    def UUIDString(self) -> str: ...
    def info(self) -> list[int]: ...
    def state(self, flags: int = 0) -> list[int]: ...
    def isActive(self) -> int: ...
    def isPersistent(self) -> int: ...
    def XMLDesc(self, flags: int = 0) -> str: ...
    def jobInfo(self) -> list[int]: ...
    def abortJob(self) -> int: ...
    def shutdown(self) -> int: ...
    def destroy(self) -> int: ...
    def undefineFlags(self, flags: int = 0) -> int: ...
    def reboot(self, flags: int = 0) -> int: ...
    def reset(self, flags: int = 0) -> int: ...
    def resume(self) -> int: ...
    def saveFlags(self, to: str, dxml: str | None = None, flags: int = 0) -> int: ...
    def attachDeviceFlags(self, xml: str, flags: int = 0) -> int: ...
    def detachDeviceFlags(self, xml: str, flags: int = 0) -> int: ...
    def updateDeviceFlags(self, xml: str, flags: int = 0) -> int: ...
    def blockInfo(self, path: str, flags: int = 0) -> list[int]: ...
    def blockResize(self, disk: str, size: int, flags: int = 0) -> int: ...
    def blockCopy(self, disk: str, destxml: str, params: dict[str, Any], flags: int = 0) -> int: ...
    def blockJobInfo(self, disk: str, flags: int = 0) -> dict[str, int]: ...
    def blockJobAbort(self, disk: str, flags: int = 0) -> int: ...
    def snapshotCreateXML(self, xmlDesc: str, flags: int = 0) -> SnapshotHandle: ...
    def snapshotLookupByName(self, name: str, flags: int = 0) -> SnapshotHandle: ...
    def listAllSnapshots(self, flags: int = 0) -> list[SnapshotHandle]: ...
    def revertToSnapshot(self, snap: SnapshotHandle, flags: int = 0) -> int: ...
    def migrateToURI3(self, dconnuri: str, params: dict[str, Any], flags: int = 0) -> int: ...


class Connection(Protocol):
    """A connection to a hypervisor (virConnect)."""

    def isAlive(self) -> int: ...
    def close(self) -> int: ...
    def getVersion(self) -> int: ...
    def getCapabilities(self) -> str: ...
    def getCPUModelNames(self, arch: str, flags: int = 0) -> list[str]: ...
    def lookupByName(self, name: str) -> DomainHandle: ...
    def createXML(self, xmlDesc: str, flags: int = 0) -> DomainHandle: ...
    def restoreFlags(self, frm: str, dxml: str | None = None, flags: int = 0) -> int: ...
    def saveImageGetXMLDesc(self, file: str, flags: int = 0) -> str: ...
    def getAllDomainStats(self, stats: int = 0, flags: int = 0) -> list[tuple[DomainHandle, StatValues]]: ...


class BindingError(Protocol):
    """What libvirt's own exception can tell."""

    def get_error_code(self) -> int | None: ...
    def get_error_domain(self) -> int | None: ...
    def get_error_message(self) -> str | None: ...


class Binding(Protocol):
    """The module `libvirt`."""

    libvirtError: type[Exception]  # noqa: N815

    def open(self, name: str | None = None) -> Connection: ...
    def registerErrorHandler(self, f: Callable[[object, object], None], ctx: object) -> None: ...


def _say_nothing(_context: object, _error: object) -> None:
    """libvirt prints every error on standard error unless somebody takes it; they are raised anyway."""


def load() -> Binding:
    """The binding; DriverError that says how to get it when it is not installed."""
    try:
        binding = cast(Binding, importlib.import_module("libvirt"))
    except ImportError as error:
        raise DriverError(
            "the KVM driver needs libvirt's Python binding: install merope[kvm], "
            f"which builds against the distribution's libvirt-dev ({error})"
        ) from error
    binding.registerErrorHandler(_say_nothing, None)
    return binding
