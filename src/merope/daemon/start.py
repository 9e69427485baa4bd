"""`one start`, `one stop`, `one restart`: bring a cloud up until it answers, and down again."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from merope.daemon import control
from merope.daemon.layout import Layout, UnsafeError, write_private
from merope.daemon.process import Identity, port_holder
from merope.daemon.service import BAD_CONFIGURATION, SERVICES, Options
from merope.daemon.supervisor import PATIENCE

if TYPE_CHECKING:
    from merope.model.settings import Settings

SUPERVISOR = (sys.executable, "-P", "-m", "merope.daemon.supervisor")
# Seconds until a cloud must answer.
START_PATIENCE = 60.0
_POLL = 0.005
_BESIDE = frozenset(service.name for service in SERVICES if service.beside)
_LOG_LINES = 15


class StartError(Exception):
    """A start that failed; `status` is what the command exits with."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; None where it does not say."""

    port: int | None = None
    listen: str | None = None
    config: Path | None = None
    drivers: str | None = None
    oneflow_port: int | None = None
    onegate_port: int | None = None

    @property
    def sandbox(self) -> bool:
        return self.drivers == "dummy"


def start(
    layout: Layout, wanted: Wanted, supervisor: Sequence[str] = SUPERVISOR, foreground: bool = False
) -> str:
    """Start the cloud and return what to tell the user; idempotent. Raises StartError.

    `supervisor` is the command to start, without its options: tests have one with services of their own.
    """
    running = _running(layout)
    if running:
        return _already(running, wanted)
    config_file, settings = _configured(layout, wanted)
    try:
        with layout.claimed():
            # Someone else may have started it while this waited for the claim.
            running = _running(layout)
            if running:
                return _already(running, wanted)
            options = _prepare(layout, wanted, config_file, settings)
            command = [*supervisor, *options.arguments()]
            if foreground:
                print(f"The cloud in {layout.home} starts at {options.endpoint}", flush=True)
                os.execv(command[0], command)  # noqa: S606  the supervisor takes this process's place
            began = time.monotonic()
            _wait_for_answer(layout, options, _spawn(command, layout.log("supervisor")))
    except UnsafeError as error:
        raise StartError(str(error)) from error
    return f"The cloud in {layout.home} answers at {options.endpoint} ({time.monotonic() - began:.2f} s)"


def prepare(layout: Layout, wanted: Wanted) -> Options:
    """Make and check what a start needs, and start nothing: systemd starts the services itself then."""
    config_file, settings = _configured(layout, wanted)
    try:
        with layout.claimed():
            return _prepare(layout, wanted, config_file, settings)
    except UnsafeError as error:
        raise StartError(str(error)) from error


def _spawn(command: Sequence[str], log: Path) -> int:
    """Start a process in a session of its own, with its output added to `log`; its pid."""
    write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        list(command),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), write, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _configured(layout: Layout, wanted: Wanted) -> "tuple[Path | None, Settings]":
    """The file that counts and what it says, with the command line. Raises StartError."""
    # Not at the top: `stop` and `status` have no use for it, and it takes longer to load than they run.
    from merope.daemon.config import ConfigError, load

    file = wanted.config.absolute() if wanted.config else layout.config_file
    try:
        return file, load(layout.home, file, command_line(wanted), wanted.sandbox).settings
    except ConfigError as error:
        raise StartError(f"The configuration is wrong:\n{error}", BAD_CONFIGURATION) from error


def _prepare(layout: Layout, wanted: Wanted, config_file: Path | None, settings: "Settings") -> Options:
    """Check that nothing is risky, and fill the home. Raises StartError and UnsafeError."""
    listen, port = settings.listen_address, settings.port
    layout.create(wanted.sandbox, served=settings.db_backend != "sqlite")
    _adopt(layout, settings)
    layout.check_address(listen, wanted.sandbox)
    holder = port_holder(listen, port)
    if holder and not _left_over(layout):
        raise StartError(f"Port {port} at {listen} is taken by {holder}. Give another --port, or end it.")
    options = Options(
        str(layout.home),
        port,
        listen,
        str(config_file) if config_file else None,
        wanted.drivers,
        **_ports_beside(layout, wanted),
    )
    write_private(layout.options, json.dumps(asdict(options)))
    return options


def _ports_beside(layout: Layout, wanted: Wanted) -> dict[str, int]:
    """Where services beside the core listen: 0 for one that cannot be started, which is said."""
    from merope.daemon import beside

    return {
        f"{service.name}_port": beside.port(service, layout, getattr(wanted, f"{service.name}_port"))
        for service in SERVICES
        if service.beside
    }


def _adopt(layout: Layout, settings: "Settings") -> None:
    """Takes a database over that OpenNebula wrote, and says so. Raises StartError."""
    if settings.db_backend == "sqlite" and not _is_anothers(layout.database):
        return
    # Not at the top: only the first start on such a database, and those on servers, have a use for it.
    from merope.daemon.adoption import adopt
    from merope.store.errors import StoreError
    from merope.store.location import location_of
    from merope.store.progress import Shown

    shown = Shown("copying the database")
    try:
        location = location_of(settings, layout.database)
        for sentence in adopt(layout.home, location, login=layout.login(), progress=shown):
            print(sentence, flush=True)
    except StoreError as error:
        raise StartError(str(error)) from error
    finally:
        shown.end()


def _is_anothers(database: Path) -> bool:
    """Whether a file is an SQLite database without our tables, asked cheaply: every start does."""
    import sqlite3

    if not database.exists() or not database.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return not connection.execute("SELECT 1 FROM sqlite_master WHERE name='merope_log'").fetchone()
    except sqlite3.Error:
        # Whoever opens it next says what is wrong with it.
        return False


def command_line(wanted: Wanted) -> Mapping[str, str]:
    """The options of oned.conf that the command line gives."""
    given = {
        "PORT": None if wanted.port is None else str(wanted.port),
        "LISTEN_ADDRESS": wanted.listen or ("127.0.0.1" if wanted.sandbox else None),
    }
    return {name: text for name, text in given.items() if text is not None}


def stop(layout: Layout, patience: float = PATIENCE) -> bool:
    """End the cloud; False when it did not run. Raises StartError when it cannot be ended."""
    pid = control.supervisor_pid(layout)
    supervisor = Identity.of(pid) if pid else None
    if supervisor is None:
        return _end_left_over(layout, patience)
    with suppress(control.NotRunning, TimeoutError):
        control.ask(layout, "stop", timeout=2 * patience + 5)
    # One that answered only has its interpreter to end; one that did not is asked by a signal.
    supervisor.end(patience)
    if supervisor.alive:
        raise StartError(f"The supervisor of {layout.home} (pid {pid}) does not end.")
    return True


def restart(layout: Layout, wanted: Wanted, supervisor: Sequence[str] = SUPERVISOR) -> str:
    """Stop, and start with the options of the last start where the command line gives none."""
    last = last_options(layout)
    stop(layout)
    if last is None:
        return start(layout, wanted, supervisor)
    config = wanted.config or (Path(last.config) if last.config else None)
    again = Wanted(
        wanted.port or last.port,
        wanted.listen or last.listen,
        config,
        wanted.drivers or last.drivers,
        _again(last.oneflow_port, wanted.oneflow_port),
        _again(last.onegate_port, wanted.onegate_port),
    )
    return start(layout, again, supervisor)


def _again(last: int, wanted: int | None) -> int | None:
    """The port of a service beside the core; one that could not be started last time is tried anew."""
    return wanted if wanted is not None or last < 0 else last


def last_options(layout: Layout) -> Options | None:
    """How the cloud was started last."""
    try:
        return Options(**json.loads(layout.options.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _running(layout: Layout) -> Options | None:
    if control.supervisor_pid(layout) is None:
        return None
    return last_options(layout)


def _already(running: Options, wanted: Wanted) -> str:
    asked = {"--port": wanted.port, "--listen": wanted.listen, "--drivers": wanted.drivers}
    has = {"--port": running.port, "--listen": running.listen, "--drivers": running.drivers}
    other = [f"{name} {value}" for name, value in asked.items() if value is not None and value != has[name]]
    if other:
        raise StartError(
            f"The cloud in {running.home} already runs at {running.endpoint}, without {', '.join(other)}: "
            "use one restart to change that."
        )
    return f"The cloud in {running.home} already runs at {running.endpoint}"


def _left_over(layout: Layout) -> list[Identity]:
    """Services whose supervisor was killed."""
    left = [Identity.read(layout.pid_file(service.name)) for service in SERVICES]
    return [identity for identity in left if identity]


def _end_left_over(layout: Layout, patience: float) -> bool:
    left = _left_over(layout)
    for identity in left:
        identity.end(patience)
    layout.endpoint.unlink(missing_ok=True)
    return bool(left)


def _wait_for_answer(layout: Layout, options: Options, supervisor: int) -> None:
    """Poll until the API answers; when the core cannot start, end what was started and say why."""
    login, deadline = layout.login(), time.monotonic() + START_PATIENCE
    # The supervisor first: until it is there, who answers may be a core that it is about to end.
    while not (_core_lives(layout) and control.answers(options.host, options.port, login)):
        if _has_ended(supervisor):
            raise StartError(f"The supervisor ended at once.\n{tail(layout.log('supervisor'))}")
        if time.monotonic() > deadline:
            stop(layout)
            raise StartError(
                f"The cloud does not answer at {options.endpoint} after {START_PATIENCE:g} s.\n"
                f"{tail(layout.log('core'))}"
            )
        time.sleep(_POLL)


def _has_ended(child: int) -> bool:
    ended, _ = os.waitpid(child, os.WNOHANG)
    return ended != 0


def _core_lives(layout: Layout) -> bool:
    """Whether the services have been started. A service that died before the cloud ever answered would only
    die again: then all is ended. Raises StartError."""
    try:
        rows = control.ask(layout, "status")["services"]
    except control.NotRunning:
        return False
    for row in rows:
        if row["name"] in _BESIDE or (row["exit"] is None and not row["restarts"]):
            continue
        name, status, log = row["name"], row["exit"], layout.log(row["name"])
        how = "" if status is None else f", it ended with status {status}"
        stop(layout)
        raise StartError(
            f"{name} cannot start{how}. The end of {log}:\n{tail(log)}",
            BAD_CONFIGURATION if status == BAD_CONFIGURATION else 1,
        )
    return True


def tail(path: Path, lines: int = _LOG_LINES) -> str:
    """The last lines of a log, indented."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return f"  (no log at {path})"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])
