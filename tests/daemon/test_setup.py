"""scripts/setup.sh, with programs in place of the system's that note what they are told."""

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTE = 'echo "$(basename "$0") $*" >> "$NOTES"\n'


class Machine:
    """A directory with the script and a PATH of stand-ins; `installed` are Debian packages that are there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.notes = directory / "notes"
        self.installed: list[str] = []
        (directory / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "setup.sh", directory / "scripts")
        (directory / "pyproject.toml").write_text("[project]\n")
        self.program("apt-get", 'case "$*" in *print-uris*) exit "${UNKNOWN:-0}" ;; esac\n')
        self.program(
            "dpkg-query",
            'case " $INSTALLED " in *" $4 "*) printf installed ;; *) exit 1 ;; esac\n',
            note=False,
        )
        self.program("sudo", 'exec "$@"\n')

    def program(self, name: str, script: str, note: bool = True) -> None:
        path = self.directory / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + (NOTE if note else "") + script)
        path.chmod(0o755)

    def environment(self, base: str = "/opt/python") -> None:
        """An environment that is there already, of a Python in `base`."""
        binary = self.directory / ".venv" / "bin"
        binary.mkdir(parents=True)
        for name in ("python", "pip"):
            (binary / name).write_text(f'#!/bin/sh\nif [ "$1" = -c ]; then echo {base}; exit; fi\n' + NOTE)
            (binary / name).chmod(0o755)

    def run(self, *words: str, answer: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": f"{self.directory / 'bin'}:/usr/bin:/bin",
            "NOTES": str(self.notes),
            "INSTALLED": " ".join(self.installed),
            **more,
        }
        command = [str(self.directory / "scripts" / "setup.sh"), *words]
        if answer is None:
            return subprocess.run(
                command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
        return self._at_a_terminal(command, environ, answer)

    @staticmethod
    def _at_a_terminal(
        command: list[str], environ: dict[str, str], answer: str
    ) -> subprocess.CompletedProcess[str]:
        person, terminal = pty.openpty()
        with subprocess.Popen(
            command, env=environ, stdin=terminal, stdout=terminal, stderr=terminal
        ) as process:
            os.close(terminal)
            os.write(person, answer.encode())
            seen = b""
            try:
                while data := os.read(person, 4096):
                    seen += data
            except OSError:
                # What Linux says when nobody holds the terminal any more.
                pass
        os.close(person)
        return subprocess.CompletedProcess(command, process.returncode, seen.decode(), "")

    def told(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_missing_packages_are_named_with_their_reason_and_installed(machine: Machine) -> None:
    machine.environment()
    done = machine.run("cloud")
    assert done.returncode == 0, done.stderr
    assert "  genisoimage            writes the CONTEXT disk\n" in done.stdout
    (install,) = [line for line in machine.told() if line.startswith("apt-get") and "print-uris" not in line]
    assert "-y --no-install-recommends -o DPkg::Lock::Timeout=900 install qemu-system-x86" in install
    assert "python3-dev" not in install


def test_headers_are_installed_for_the_python_of_the_distribution_only(machine: Machine) -> None:
    machine.environment(base="/usr")
    machine.run("cloud")
    assert any(line.endswith("python3-dev") for line in machine.told() if "install" in line)


def test_package_lists_are_fetched_only_where_they_do_not_know_a_package(machine: Machine) -> None:
    machine.environment()
    machine.run("cloud")
    assert not any("update" in line for line in machine.told())
    machine.run("cloud", UNKNOWN="1")
    assert any(line.endswith("update") for line in machine.told())


def test_a_person_is_asked_and_may_refuse(machine: Machine) -> None:
    machine.environment()
    done = machine.run("cloud", answer="n\n")
    assert done.returncode == 1
    assert "Install them now? [Y/n]" in done.stdout
    assert "without them this cannot go on: apt-get install qemu-system-x86" in done.stdout
    assert not any(line.startswith("apt-get") for line in machine.told())


def test_a_person_who_agrees_gets_them(machine: Machine) -> None:
    machine.environment()
    assert machine.run("cloud", answer="\n").returncode == 0
    assert any("install qemu-system-x86" in line for line in machine.told())


def test_tests_need_no_packages_where_a_python_is(machine: Machine) -> None:
    machine.environment()
    assert machine.run("test").returncode == 0
    assert not any(line.startswith("apt-get") for line in machine.told())
    assert any("--editable .[dev," in line for line in machine.told())


def test_nothing_is_done_where_nothing_is_missing(machine: Machine) -> None:
    machine.environment()
    machine.run("cloud")
    machine.installed = (
        "qemu-system-x86 seabios ipxe-qemu qemu-utils libvirt-daemon-system libvirt-clients".split()
    )
    machine.installed += "libvirt-dev gcc pkg-config genisoimage e2fsprogs".split()
    machine.installed += "busybox-static syslinux syslinux-common mtools iproute2 iptables".split()
    machine.installed += "nftables curl openssh-client".split()
    machine.notes.unlink()
    done = machine.run("cloud")
    assert (done.returncode, done.stdout, machine.told()) == (0, "", [])


def test_libraries_are_installed_again_when_the_project_changed(machine: Machine) -> None:
    machine.environment()
    machine.run("test")
    machine.notes.unlink()
    (machine.directory / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    machine.run("test")
    assert len(machine.told()) == 1


def test_what_it_does_not_know_is_a_usage_error(machine: Machine) -> None:
    assert machine.run("everything").returncode == 2
