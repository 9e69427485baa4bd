"""A hypervisor and a network driver that misbehave as the VM's user template says."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain, HostReport
from merope.model.vm import VM


class FaultyHypervisor:
    """BEHAVIOUR of the user template: what `deploy` does."""

    def deploy(self, vm: VM, system_dir: Path) -> str:
        note = vm.user_template.get("NOTE")
        if note:
            with Path(note).open("a") as file:
                file.write(f"{os.getpid()}\n")
        behaviour = vm.user_template.get("BEHAVIOUR") or "well"
        answer: str = getattr(self, f"_{behaviour}")(vm)
        return answer

    def _well(self, vm: VM) -> str:
        return f"faulty-{vm.id}"

    def _hang(self, vm: VM) -> str:
        time.sleep(600)
        return ""

    def _hang_in_command(self, vm: VM) -> str:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        with subprocess.Popen(command, process_group=0) as child:
            Path(vm.user_template.get("CHILD")).write_text(str(child.pid))
            child.wait()
        return ""

    def _die(self, vm: VM) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    def _exit(self, vm: VM) -> str:
        os._exit(3)

    def _babble(self, vm: VM) -> str:
        """Writes where the answers go."""
        for descriptor in range(3, 16):
            try:
                os.write(descriptor, b"so it goes\n")
            except OSError:
                continue
        return "babbled"

    def _print(self, vm: VM) -> str:
        print("a word to whom it may concern", flush=True)
        os.write(1, b"and another\n")
        return f"faulty-{vm.id}"

    def _read(self, vm: VM) -> str:
        return f"read {sys.stdin.read()!r}"

    def _refuse(self, vm: VM) -> str:
        raise DriverError("the machine says no", retry_safe=True)

    def _break(self, vm: VM) -> str:
        raise ZeroDivisionError("a bug")

    def shutdown(self, deploy_id: str) -> None: ...

    def cancel(self, deploy_id: str) -> None: ...

    def reboot(self, deploy_id: str) -> None: ...

    def reset(self, deploy_id: str) -> None: ...

    def save(self, deploy_id: str, checkpoint: Path) -> None: ...

    def restore(self, vm: VM, deploy_id: str, checkpoint: Path, system_dir: Path) -> str:
        return deploy_id

    def migrate(self, deploy_id: str, destination: str, copied: Sequence[str] = ()) -> None: ...

    def domains(self) -> list[Domain]:
        return []

    def report(self) -> HostReport:
        return HostReport(400, 1024, 0, 0)


class NotingNetwork:
    """A third party's network driver, constructed without arguments."""

    def pre(self, vm: VM) -> None:
        Path(vm.user_template.get("NOTE")).write_text("pre")

    def post(self, vm: VM, deploy_id: str) -> None: ...

    def clean(self, vm: VM) -> None: ...
