"""Where the logs of this machine's cloud are, and what `onelog` makes of them."""

import os
import re
from collections.abc import Iterator

from merope.cli.context import Context
from merope.cli.errors import CliError
from merope.client import find_home

#: Of a system-wide installation.
SYSTEM_LOGS = "/var/log/one"
#: Services whose log has another name than they have.
_FILES = {"core": "oned", "monitor": "oned", "scheduler": "sched"}
_SERVICE = re.compile(r"[a-z][\w-]*")
_TYPES = ("log", "error")
_REQUEST = re.compile(r"\bReq:\d+ ")


def get(ctx: Context) -> None:
    service, kind = ctx.word("service"), ctx.option("type", str) or "log"
    if kind not in _TYPES:
        raise CliError(f"Log file type '{kind}' not found")
    name = f"{_FILES.get(service, service)}.{kind}"
    path = os.path.join(_directory(ctx), name)
    if not _SERVICE.fullmatch(service) or not os.path.isfile(path):
        there = ", ".join(_services(ctx)) or "none"
        raise CliError(f"Service '{service}' not found; there are logs of: {there}.")
    _show(ctx, path)


def get_vm(ctx: Context) -> None:
    """A file of the machine's own, else the lines of the core's log that are about it."""
    oid = ctx.number("id")
    directory, home = _directory(ctx), find_home(ctx.terminal.environ)
    own = [os.path.join(directory, f"{oid}.log")]
    if home:
        own.append(os.path.join(home, "vms", str(oid), "vm.log"))
    if path := next((p for p in own if os.path.isfile(p)), None):
        _show(ctx, path)
        return
    lines = list(_lines_about(oid, os.path.join(directory, "oned.log")))
    if not lines:
        raise CliError(f"No LOG file found for '{oid}' VM")
    _show_text(ctx, "".join(lines))


def _lines_about(oid: int, path: str) -> Iterator[str]:
    """What drivers reported, and requests that would change the machine, with their results."""
    about = re.compile(
        rf"\bvm\.\w+ of {oid}\b|\b(?:VM|virtual machine) {oid}\b"
        rf'|\bone\.vm\.(?!info\b|monitoring\b)\w+ invoked ?, (?:"[^"]*", )?{oid}(?:,|$)'
    )
    requests: set[str] = set()
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log:
                request = _REQUEST.search(line)
                if about.search(line):
                    if request:
                        requests.add(request[0])
                    yield line
                elif request and request[0] in requests:
                    requests.remove(request[0])
                    yield line
    except OSError as e:
        raise CliError(f"{path} cannot be read: {e.strerror}.") from e


def _directory(ctx: Context) -> str:
    return find_home(ctx.terminal.environ) or SYSTEM_LOGS


def _services(ctx: Context) -> list[str]:
    try:
        files = os.listdir(_directory(ctx))
    except OSError:
        return []
    return sorted(f.removesuffix(".log") for f in files if f.endswith(".log"))


def _show(ctx: Context, path: str) -> None:
    if command := _pager(ctx):
        _run(command, path)
        return
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log:
                ctx.print(line.rstrip("\n"))
    except OSError as e:
        raise CliError(f"{path} cannot be read: {e.strerror}.") from e


def _show_text(ctx: Context, text: str) -> None:
    command = _pager(ctx)
    if not command:
        ctx.print(text.rstrip("\n"))
        return
    import tempfile

    with tempfile.NamedTemporaryFile("w", prefix="merope-", suffix=".log") as file:
        file.write(text)
        file.flush()
        _run(command, file.name)


def _pager(ctx: Context) -> list[str]:
    import shlex

    if (pager := ctx.option("pager", str)) is None:
        return []
    return [*shlex.split(pager), *shlex.split(ctx.option("pager-opts", str) or "")]


def _run(command: list[str], path: str) -> None:
    import subprocess

    try:
        result = subprocess.run([*command, path], check=False)  # noqa: S603 - the person's own pager
    except OSError as e:
        raise CliError(f"The pager '{command[0]}' cannot be started: {e.strerror}.") from e
    if result.returncode:
        raise CliError(f"The pager '{command[0]}' failed ({result.returncode}).")
