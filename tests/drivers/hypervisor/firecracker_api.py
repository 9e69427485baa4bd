"""Firecracker's API as its published description has it (1.x, swagger `Firecracker API`).

What each request must look like, when it may come, and the words of refusals: written down from the
description, as tables.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BEFORE, AFTER, ANY = "before", "after", "any"
_NOT_AFTER = "The requested operation is not supported after starting the microVM."
_NOT_BEFORE = "The requested operation is not supported before starting the microVM."
_ID = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", re.ASCII)


class FaultError(Exception):
    """A refusal: 400 with `fault_message`."""


@dataclass(frozen=True)
class Field:
    """`kind` is a type of Python, or the name of a definition; `[…]` a list of that."""

    kind: Any
    required: bool = False
    choices: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None


def must(kind: Any, **more: Any) -> Field:
    return Field(kind, required=True, **more)


DEFINITIONS: dict[str, dict[str, Field]] = {
    "TokenBucket": {
        "size": must(int, low=0),
        "refill_time": must(int, low=0),
        "one_time_burst": Field(int, low=0),
    },
    "RateLimiter": {"bandwidth": Field("TokenBucket"), "ops": Field("TokenBucket")},
    "BootSource": {"kernel_image_path": must(str), "boot_args": Field(str), "initrd_path": Field(str)},
    "MachineConfiguration": {
        "vcpu_count": must(int, low=1, high=32),
        "mem_size_mib": must(int, low=1),
        "smt": Field(bool),
        "track_dirty_pages": Field(bool),
        "cpu_template": Field(str, choices=("C3", "T2", "T2S", "T2CL", "T2A", "V1N1", "None")),
        "huge_pages": Field(str, choices=("None", "Transparent", "2M")),
    },
    "Drive": {
        "drive_id": must(str),
        "is_root_device": must(bool),
        "path_on_host": Field(str),
        "is_read_only": Field(bool),
        "partuuid": Field(str),
        "cache_type": Field(str, choices=("Unsafe", "Writeback")),
        "io_engine": Field(str, choices=("Sync", "Async")),
        "rate_limiter": Field("RateLimiter"),
        "socket": Field(str),
    },
    "PartialDrive": {
        "drive_id": must(str),
        "path_on_host": Field(str),
        "rate_limiter": Field("RateLimiter"),
    },
    "NetworkInterface": {
        "iface_id": must(str),
        "host_dev_name": must(str),
        "guest_mac": Field(str),
        "mtu": Field(int, low=68, high=65535),
        "rx_rate_limiter": Field("RateLimiter"),
        "tx_rate_limiter": Field("RateLimiter"),
    },
    "PartialNetworkInterface": {
        "iface_id": must(str),
        "rx_rate_limiter": Field("RateLimiter"),
        "tx_rate_limiter": Field("RateLimiter"),
    },
    "Vsock": {"guest_cid": must(int, low=3), "uds_path": must(str), "vsock_id": Field(str)},
    "Logger": {
        "log_path": Field(str),
        "level": Field(str, choices=("Error", "Warning", "Info", "Debug", "Trace", "Off")),
        "show_level": Field(bool),
        "show_log_origin": Field(bool),
        "module": Field(str),
    },
    "Metrics": {"metrics_path": must(str)},
    "MmdsConfig": {
        "network_interfaces": must([str]),
        "version": Field(str, choices=("V1", "V2")),
        "ipv4_address": Field(str),
        "imds_compat": Field(bool),
    },
    "InstanceActionInfo": {
        "action_type": must(str, choices=("FlushMetrics", "InstanceStart", "SendCtrlAltDel"))
    },
    "Vm": {"state": must(str, choices=("Paused", "Resumed"))},
}
#: Method and path: the definition of the body (None: any object), and when it may come.
PATHS: dict[tuple[str, str], tuple[str | None, str]] = {
    ("PUT", "/boot-source"): ("BootSource", BEFORE),
    ("PUT", "/machine-config"): ("MachineConfiguration", BEFORE),
    ("PUT", "/drives/{drive_id}"): ("Drive", BEFORE),
    ("PATCH", "/drives/{drive_id}"): ("PartialDrive", AFTER),
    ("PUT", "/network-interfaces/{iface_id}"): ("NetworkInterface", BEFORE),
    ("PATCH", "/network-interfaces/{iface_id}"): ("PartialNetworkInterface", AFTER),
    ("PUT", "/vsock"): ("Vsock", BEFORE),
    ("PUT", "/logger"): ("Logger", BEFORE),
    ("PUT", "/metrics"): ("Metrics", BEFORE),
    ("PUT", "/mmds/config"): ("MmdsConfig", BEFORE),
    ("PUT", "/mmds"): (None, ANY),
    ("PATCH", "/mmds"): (None, ANY),
    ("PUT", "/actions"): ("InstanceActionInfo", ANY),
    ("PATCH", "/vm"): ("Vm", AFTER),
}
GETS = ("/", "/version", "/machine-config", "/mmds", "/vm/config")


def checked(method: str, path: str, body: Any, started: bool) -> str:
    """The pattern that the path is of. Raises FaultError for what Firecracker would refuse by its form."""
    pattern, name = _pattern(method, path)
    definition, phase = PATHS[method, pattern]
    if phase == BEFORE and started:
        raise FaultError(_NOT_AFTER)
    if phase == AFTER and not started:
        raise FaultError(_NOT_BEFORE)
    if not isinstance(body, dict):
        raise FaultError(
            "An error occurred when deserializing the json body of a request: expected an object."
        )
    if definition is not None:
        check(definition, body)
    if name:
        key = pattern[pattern.index("{") + 1 : -1]
        if not _ID.fullmatch(name):
            raise FaultError("API Resource IDs can only contain alphanumeric characters and underscores.")
        if body.get(key) != name:
            raise FaultError(
                f"The id from the path [{name}] does not match the id from the body [{body.get(key)}]!"
            )
    return pattern


def check(definition: str, body: Mapping[str, Any]) -> None:
    fields = DEFINITIONS[definition]
    unknown = sorted(set(body) - set(fields))
    if unknown:
        raise _deserializing(f"unknown field `{unknown[0]}`, expected one of {sorted(fields)}")
    for name, field in fields.items():
        if name in body:
            _check_field(name, field, body[name])
        elif field.required:
            raise _deserializing(f"missing field `{name}`")


def _check_field(name: str, field: Field, value: Any) -> None:
    if isinstance(field.kind, str):
        if not isinstance(value, dict):
            raise _deserializing(f"invalid type for `{name}`: expected an object")
        check(field.kind, value)
        return
    if isinstance(field.kind, list):
        if not isinstance(value, list) or not all(isinstance(each, field.kind[0]) for each in value):
            raise _deserializing(f"invalid type for `{name}`: expected a list of {field.kind[0].__name__}")
        return
    # To JSON a truth value is no number.
    if not isinstance(value, field.kind) or (field.kind is int and isinstance(value, bool)):
        raise _deserializing(f"invalid type for `{name}`: expected {field.kind.__name__}, found {value!r}")
    if field.choices and value not in field.choices:
        raise _deserializing(f"unknown variant `{value}`, expected one of {field.choices}")
    if (field.low is not None and value < field.low) or (field.high is not None and value > field.high):
        raise FaultError(f"`{name}` is {value}: it must be from {field.low} to {field.high}.")


def _pattern(method: str, path: str) -> tuple[str, str]:
    if (method, path) in PATHS:
        return path, ""
    base, _, name = path.rpartition("/")
    for known_method, pattern in PATHS:
        if known_method == method and pattern.rpartition("/")[0] == base and "{" in pattern:
            if not name:
                raise FaultError("The ID cannot be empty.")
            return pattern, name
    raise FaultError(f"Invalid request method and/or path: {method} {path}.")


def _deserializing(reason: str) -> FaultError:
    return FaultError(f"An error occurred when deserializing the json body of a request: {reason}.")
