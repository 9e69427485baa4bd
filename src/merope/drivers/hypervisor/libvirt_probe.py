"""Whether KVM really runs a guest on this machine: by starting a kernel under it.

/dev/kvm that opens proves little: nested and paravirtualised hosts offer it and then stop at the first
instruction that they don't emulate. So a kernel is booted until it looks for its root file system, which
takes about a second where KVM works. What was found is kept until the machine boots again.
"""

import json
import os
import platform
import re
import selectors
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TIME_LIMIT = 10.0
_BOOTED = re.compile(rb"VFS: |Run /\w*init|not syncing: VFS|Unable to mount root")
_BROKEN = re.compile(
    rb"KVM internal error|[Ff]ailed to initialize kvm|Could not access KVM|No accelerator found"
)


@dataclass(frozen=True, slots=True)
class Acceleration:
    """`reason` is a clause that can follow "KVM is used:" or "KVM is not used:"."""

    usable: bool
    reason: str


def remembered(cache: Path, emulator: str, kernel: Path | None = None) -> Acceleration:
    """What was found since this machine booted with this emulator; else tries it and keeps the answer."""
    key = _key(emulator)
    try:
        kept = json.loads(cache.read_text())
        if kept["key"] == key:
            return Acceleration(bool(kept["usable"]), str(kept["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        kept = None  # absent or damaged: it is only a cache
    found = probe(emulator, kernel)
    cache.parent.mkdir(parents=True, exist_ok=True)
    fresh = cache.with_name(f"{cache.name}.{os.getpid()}")
    fresh.write_text(json.dumps({"key": key, "usable": found.usable, "reason": found.reason}) + "\n")
    fresh.replace(cache)
    return found


def probe(emulator: str, kernel: Path | None = None, time_limit: float = TIME_LIMIT) -> Acceleration:
    """Tries KVM with `kernel`, or with one of the host's own; without any it goes by the CPU's driver."""
    if not emulator:
        return Acceleration(False, "no QEMU for this machine is installed")
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as error:
        return Acceleration(False, f"/dev/kvm cannot be opened ({error.strerror})")
    tried = kernel or _own_kernel()
    if tried is None:
        return _by_cpu_driver()
    return _boot(emulator, tried, time_limit)


def _key(emulator: str) -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        built = os.stat(emulator).st_mtime_ns if emulator else 0
    except OSError:
        boot, built = "unknown", 0
    return f"{boot} {emulator} {built}"


def _own_kernel() -> Path | None:
    candidates = [Path(f"/boot/vmlinuz-{platform.release()}"), *sorted(Path("/boot").glob("vmlinuz-*"))]
    return next((path for path in candidates if os.access(path, os.R_OK)), None)


def _by_cpu_driver() -> Acceleration:
    if platform.machine() != "x86_64":
        return Acceleration(True, "/dev/kvm opens (no kernel at hand to try it with)")
    for name in ("kvm_intel", "kvm_amd"):
        if Path(f"/sys/module/{name}").exists():
            return Acceleration(
                True, f"/dev/kvm opens and {name} is loaded (no kernel at hand to try it with)"
            )
    return Acceleration(False, "/dev/kvm opens, but neither kvm_intel nor kvm_amd stands behind it")


def _boot(emulator: str, kernel: Path, time_limit: float) -> Acceleration:
    argv = [emulator, "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-no-user-config"]
    argv += ["-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", str(kernel)]
    argv += ["-append", "console=ttyS0 panic=-1"]
    started = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - a vector of fixed words and two paths
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as guest:
        try:
            output = _read_until(guest, started + time_limit)
        finally:
            guest.kill()
    took = time.monotonic() - started
    if _BOOTED.search(output):
        return Acceleration(True, f"a kernel booted under it in {took:.1f} s")
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    last = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
    why = f"it stopped within {took:.0f} s: {last}" if took >= time_limit or not last else last
    return Acceleration(False, f"/dev/kvm opens, but a kernel does not boot under it ({why[:200]})")


def _read_until(guest: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """What the guest says until it has booted, broken, ended, or the time is over."""
    if guest.stdout is None:
        return b""
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(guest.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                break
            chunk = os.read(guest.stdout.fileno(), 65536)
            output += chunk
            if not chunk or _BOOTED.search(output) or _BROKEN.search(output):
                break
    return output
