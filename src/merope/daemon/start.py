"""`one start`, `one stop`, `one restart`: bring a cloud up until it answers, and down again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from merope.daemon import control
from merope.daemon.layout import Layout, UnsafeError, write_private
from merope.daemon.process import Identity, port_holder
from merope.daemon.service import BAD_CONFIGURATION, SERVICES, Options
from merope.daemon.supervisor import ALREADY_RUNNING, PATIENCE

# Seconds until a cloud must answer.
START_PATIENCE = 60.0
_POLL = 0.005
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

    @property
    def sandbox(self) -> bool:
        return self.drivers == "dummy"


@dataclass(frozen=True)
class Launcher:
    """How the supervisor is started; tests give one with services of their own."""

    command: Sequence[str] = (sys.executable, "-m", "merope.daemon.supervisor")


def start(layout: Layout, wanted: Wanted, launcher: Launcher, foreground: bool = False) -> str:
    """Start the cloud and return what to tell the user; idempotent. Raises StartError."""
    running = _running(layout)
    if running:
        return _already(running, wanted)
    options = prepare(layout, wanted)
    command = [*launcher.command, *options.arguments()]
    if foreground:
        print(f"The cloud in {layout.home} starts at {options.endpoint}", flush=True)
        os.execv(command[0], command)  # noqa: S606  the supervisor takes this process's place
    began = time.monotonic()
    with layout.log("supervisor").open("ab") as output:
        supervisor = subprocess.Popen(  # noqa: S603  our own module and checked options
            command,
            cwd=layout.home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _wait_for_answer(layout, options, supervisor)
    return f"The cloud in {layout.home} answers at {options.endpoint} ({time.monotonic() - began:.2f} s)"


def prepare(layout: Layout, wanted: Wanted) -> Options:
    """Check the configuration and that nothing is risky, and make the home. Raises StartError."""
    # Not at the top: `stop` and `status` have no use for it, and it takes longer to load than they run.
    from merope.daemon.config import ConfigError, load

    config_file = wanted.config.absolute() if wanted.config else layout.config_file
    try:
        config = load(layout.home, config_file, command_line(wanted), wanted.sandbox)
    except ConfigError as error:
        raise StartError(f"The configuration is wrong:\n{error}", BAD_CONFIGURATION) from error
    listen, port = config.settings.listen_address, config.settings.port
    try:
        layout.create(wanted.sandbox)
        layout.check_address(listen, wanted.sandbox)
    except UnsafeError as error:
        raise StartError(str(error)) from error
    holder = port_holder(listen, port)
    if holder and not _left_over(layout):
        raise StartError(f"Port {port} at {listen} is taken by {holder}. Give another --port, or end it.")
    options = Options(
        str(layout.home), port, listen, str(config_file) if config_file else None, wanted.drivers
    )
    write_private(_options_file(layout), json.dumps(asdict(options)))
    return options


def command_line(wanted: Wanted) -> Mapping[str, str]:
    """The options of oned.conf that the command line gives."""
    given = {
        "PORT": None if wanted.port is None else str(wanted.port),
        "LISTEN_ADDRESS": wanted.listen or ("127.0.0.1" if wanted.sandbox else None),
    }
    return {name: text for name, text in given.items() if text is not None}


def stop(layout: Layout, patience: float = PATIENCE) -> bool:
    """End the cloud; False when it did not run. Raises StartError when it cannot be ended."""
    try:
        control.ask(layout, "stop", timeout=2 * patience + 5)
    except (control.NotRunning, TimeoutError):
        pid = control.supervisor_pid(layout)
        supervisor = Identity.of(pid) if pid else None
        if supervisor:
            supervisor.end(patience)
        elif not _end_left_over(layout, patience):
            return False
    if not control.wait_until_gone(layout, patience):
        raise StartError(
            f"The supervisor of {layout.home} (pid {control.supervisor_pid(layout)}) does not end."
        )
    return True


def restart(layout: Layout, wanted: Wanted, launcher: Launcher) -> str:
    """Stop, and start with the options of the last start where the command line gives none."""
    last = last_options(layout)
    stop(layout)
    if last is None:
        return start(layout, wanted, launcher)
    config = wanted.config or (Path(last.config) if last.config else None)
    again = Wanted(
        wanted.port or last.port, wanted.listen or last.listen, config, wanted.drivers or last.drivers
    )
    return start(layout, again, launcher)


def last_options(layout: Layout) -> Options | None:
    """How the cloud was started last."""
    try:
        return Options(**json.loads(_options_file(layout).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _options_file(layout: Layout) -> Path:
    return layout.run / "options.json"


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


def _wait_for_answer(layout: Layout, options: Options, supervisor: subprocess.Popen[bytes]) -> None:
    """Poll until the API answers; when the core cannot start, end what was started and say why."""
    login, deadline, look_at = layout.login(), time.monotonic() + START_PATIENCE, 0.0
    host = options.host
    while not control.answers(host, options.port, login):
        now = time.monotonic()
        if supervisor.poll() not in (None, ALREADY_RUNNING):
            raise StartError(f"The supervisor ended at once.\n{tail(layout.log('supervisor'))}")
        if now >= look_at:
            look_at = now + 0.05
            _give_up_on_dead_core(layout)
        if now > deadline:
            stop(layout)
            raise StartError(
                f"The cloud does not answer at {options.endpoint} after {START_PATIENCE:g} s.\n"
                f"{tail(layout.log('core'))}"
            )
        time.sleep(_POLL)


def _give_up_on_dead_core(layout: Layout) -> None:
    """A core that dies before it ever answered would only die again."""
    try:
        rows = control.ask(layout, "status")["services"]
    except control.NotRunning:
        return
    for row in rows:
        if row["exit"] is None and not row["restarts"]:
            continue
        name, status, log = row["name"], row["exit"], layout.log(row["name"])
        how = "" if status is None else f", it ended with status {status}"
        stop(layout)
        raise StartError(
            f"{name} cannot start{how}. The end of {log}:\n{tail(log)}",
            BAD_CONFIGURATION if status == BAD_CONFIGURATION else 1,
        )


def tail(path: Path, lines: int = _LOG_LINES) -> str:
    """The last lines of a log, indented."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return f"  (no log at {path})"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])
