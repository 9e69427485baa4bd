"""Runs a job in the helper VM: a script in, its output and exit code out."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from guest.build import BuildError
from tests.helper_vm.kernel import HERE, Kernel, kernel

INSIDE = os.environ.get("MEROPE_HELPER_VM") == "1"
"""Whether this process runs in the helper VM."""
REPOSITORY = HERE.parents[1]
MEMORY = 1536
"""MB. What is written in the machine stays in its memory."""
_NEEDS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "modprobe": "kmod",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "bash": "bash",
    "ip": "iproute2",
}
_KERNEL_WORDS = (
    "console=ttyS0 quiet loglevel=4 panic=-1 net.ifnames=0 mitigations=off no_timer_check "
    "cryptomgr.notests audit=0 apparmor=0 random.trust_cpu=on"
)


@dataclass(frozen=True, slots=True)
class Finished:
    """`output` is what the job wrote to both of its outputs, `kept` the file that it was asked to keep."""

    code: int
    output: str
    kept: str = ""


class HelperVMError(Exception):
    """The machine did not come to the end of its job; says what was seen of it."""


@cache
def why_not() -> str:
    """Why the helper VM cannot run here; empty when it can."""
    if INSIDE:
        return "this is the helper VM"
    if os.geteuid() != 0:
        return "it shows all of this machine's files to programs that run as root, and is for root only"
    missing = sorted({package for tool, package in _NEEDS.items() if shutil.which(tool) is None})
    if missing:
        return f"missing packages: {' '.join(missing)}"
    try:
        kernel()
    except (BuildError, OSError) as error:
        return f"its kernel cannot be had: {error}"
    return ""


def run(script: str, *, timeout: float = 300, keep: str = "") -> Finished:
    """Runs a bash script as root in the helper VM, in the root of the repository.

    `timeout` is in seconds. `keep` names a file in `/run/helper-vm` whose content is wanted.
    Raises HelperVMError when the machine has not finished by then.
    """
    with tempfile.TemporaryDirectory(prefix="helper-vm-") as name:
        job = Path(name)
        finished = _run(job, script, timeout)
        kept = job / keep
        return replace(finished, kept=kept.read_text()) if keep and kept.exists() else finished


def run_pytest(arguments: Sequence[str], *, timeout: float = 600, keep: str = "") -> Finished:
    """Runs tests in the helper VM, with the Python that runs this."""
    argv = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments)
    return run(shlex.join(argv), timeout=timeout, keep=keep)


def _run(job: Path, script: str, timeout: float) -> Finished:
    stock = kernel()
    shutil.copy(HERE / "first", job / "first")
    (job / "script").write_text(script + "\n")
    (job / "directory").write_text(str(REPOSITORY))
    (job / "modules").write_text(str(stock.modules))
    (job / "output").touch()
    with (job / "console").open("wb") as console:
        process = subprocess.Popen(
            _argv(stock, job),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise HelperVMError(f"it did not finish in {timeout:g} s\n{_seen(job)}") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    try:
        code = int((job / "code").read_text())
    except (OSError, ValueError):
        raise HelperVMError(f"it ended before its job did\n{_seen(job)}") from None
    return Finished(code, (job / "output").read_text(errors="replace"))


def _seen(job: Path) -> str:
    """The ends of what the job and the console wrote."""
    return "\n".join((job / name).read_text(errors="replace")[-3000:] for name in ("output", "console"))


def _argv(stock: Kernel, job: Path) -> tuple[str, ...]:
    def shared(tag: str, path: Path, options: str) -> tuple[str, ...]:
        where = str(path).replace(",", ",,")
        return ("-virtfs", f"local,path={where},mount_tag={tag},security_model=none,multidevs=remap{options}")

    return (
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY)),
        *("-serial", "stdio", "-device", "virtio-rng-pci"),
        *("-kernel", str(stock.image), "-initrd", str(stock.initrd), "-append", _KERNEL_WORDS),
        *shared("root", Path("/"), ",readonly=on"),
        *shared("job", job, ""),
    )
