"""VNC for guests that have a terminal and no screen: an X server that speaks VNC, with one xterm on it.

Xvnc (TigerVNC) and xterm are the distribution's; noVNC, websockify and every other viewer speak to it as to
QEMU. Both go on when the worker that started them has ended.
"""

import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.files import make_directory, remove
from merope.model.vm import VM

_CELL = (6, 13)
"""Pixels of a character of the font `fixed`, which is built into the server."""
_ANY_HOST = 65535
_SECONDS = 30.0
_AGAIN = 'while "$@"; do sleep 1; done'
"""Who logs out finds a new login; xterm fails, and this ends, when the server has gone."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where it listens, and its size in pixels."""

    port: int
    listen: str = "127.0.0.1"
    password: str = ""
    width: int = 800
    height: int = 600


def screen_of(vm: VM, width: int, height: int) -> Screen | None:
    """What GRAPHICS of TYPE VNC asks for; None without a port."""
    for graphics in vm.template.vectors("GRAPHICS"):
        if graphics.get("TYPE", "").lower() == "vnc" and graphics.get("PORT", "").isdecimal():
            listen = graphics.get("LISTEN") or "127.0.0.1"
            return Screen(int(graphics["PORT"]), listen, graphics.get("PASSWD", ""), width, height)
    return None


def require_programs(screen: Screen | None) -> None:
    """Raises DriverError before anything is begun that could not be shown."""
    programs = ["Xvnc", "xterm", *(["vncpasswd"] if screen and screen.password else [])]
    missing = [program for program in programs if shutil.which(program) is None]
    if screen is not None and missing:
        raise DriverError(
            f"GRAPHICS with TYPE = VNC needs {', '.join(missing)} on the host: apt-get install "
            "tigervnc-standalone-server tigervnc-tools xterm"
        )


class Terminal:
    """What one guest is shown on; its files are in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def start(self, screen: Screen, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Shows what `command` does in a terminal; what is shown already stays so."""
        if self._pid() is not None:
            return
        make_directory(self._directory)
        display = str(screen.port)
        (self._directory / "display").write_text(display)
        cookies = self._directory / "cookies"
        cookies.write_bytes(_cookie(display))
        cookies.chmod(0o600)
        own = {**os.environ, **environment, "DISPLAY": f":{display}", "XAUTHORITY": str(cookies)}
        detached([*self._server(screen), "-auth", str(cookies)], self._directory / "server.log", own)
        self._wait_for(screen)
        columns, rows = screen.width // _CELL[0], screen.height // _CELL[1]
        xterm = ["xterm", "-fn", "fixed", "-b", "0", "-bw", "0", "+sb", "-geometry", f"{columns}x{rows}+0+0"]
        xterm += ["-bg", "black", "-fg", "white", "-e", *command]
        detached(["sh", "-c", _AGAIN, "sh", *xterm], self._directory / "terminal.log", own)

    def stop(self) -> None:
        pid = self._pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + _SECONDS
            while self._pid() is not None and time.monotonic() < deadline:
                time.sleep(0.02)
        remove(self._directory)

    def _server(self, screen: Screen) -> list[str]:
        size = f"{screen.width}x{screen.height}"
        argv = ["Xvnc", f":{screen.port}", "-rfbport", str(screen.port), "-interface", screen.listen]
        argv += [
            "-geometry",
            size,
            "-depth",
            "16",
            "-AlwaysShared",
            "-nolisten",
            "tcp",
            "-desktop",
            "console",
        ]
        if not screen.password:
            return [*argv, "-SecurityTypes", "None"]
        path = self._directory / "password"
        done = subprocess.run(
            ["vncpasswd", "-f"],  # noqa: S607
            input=f"{screen.password}\n".encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode or not done.stdout:
            raise DriverError("the password of GRAPHICS cannot be used for VNC")
        path.write_bytes(done.stdout)
        path.chmod(0o600)
        return [*argv, "-SecurityTypes", "VncAuth", "-PasswordFile", str(path)]

    def _wait_for(self, screen: Screen) -> None:
        deadline = time.monotonic() + _SECONDS
        while not _listens(screen):
            if time.monotonic() > deadline:
                said = (self._directory / "server.log").read_text("utf-8", "replace")
                self.stop()
                raise DriverError(f"the terminal's VNC server does not start{commands.said(said)}")
            time.sleep(0.02)

    def _pid(self) -> int | None:
        """Of the server that was started here, if it runs."""
        with suppress(OSError, ValueError):
            display = (self._directory / "display").read_text()
            pid = int(Path(f"/tmp/.X{display}-lock").read_text())  # noqa: S108 - where X servers say who they are
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if os.fsencode(self._directory / "cookies") in words:
                return pid
        return None


def _listens(screen: Screen) -> bool:
    """Whether the server takes viewers, and X clients before them."""
    if not Path(f"/tmp/.X11-unix/X{screen.port}").exists():  # noqa: S108 - where X servers are
        return False
    address = "127.0.0.1" if screen.listen in ("0.0.0.0", "::") else screen.listen  # noqa: S104 - not bound here
    try:
        socket.create_connection((address, screen.port), _SECONDS).close()
    except OSError:
        return False
    return True


def detached(argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
    """Starts a program that nobody waits for, in a session of its own. Raises DriverError."""
    with log.open("ab") as said:
        try:
            subprocess.run(  # noqa: S603 - a vector
                ["setsid", "--fork", *argv],  # noqa: S607
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=None if environment is None else dict(environment),
                timeout=_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DriverError(f"{argv[0]} could not be started on the host") from error


def _cookie(display: str) -> bytes:
    """An X authority file by which only who can read it gets to the display."""
    fields = (b"", display.encode(), b"MIT-MAGIC-COOKIE-1", secrets.token_bytes(16))
    return struct.pack(">H", _ANY_HOST) + b"".join(struct.pack(">H", len(each)) + each for each in fields)
