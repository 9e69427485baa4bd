"""The programs of hooks that come with the cloud, put where hooks are looked for."""

import shlex
import sys
from pathlib import Path

#: Module → the files below the hooks' base that run it: ours, and the name that 5.12's templates have.
_PROGRAMS = {"merope.cli.host_error": ("ft/host_error", "ft/host_error.rb")}
_MARK = "# Written at each start of the cloud: change a copy of another name."


def install(base: Path) -> list[str]:
    """Writes what is missing or is from an earlier start; answers sentences for what is somebody else's."""
    warnings = []
    for module, names in _PROGRAMS.items():
        text = f'#!/bin/sh\n{_MARK}\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n'
        for name in names:
            path = base / name
            try:
                if path.exists() and _MARK not in path.read_text(errors="replace"):
                    warnings.append(f"{path} is not the cloud's own program, and is left as it is")
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, text)
            except OSError as error:
                warnings.append(f"{path} cannot be written: {error.strerror}")
    return warnings


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a hook may be starting it."""
    if path.exists() and path.read_text() == text:
        return
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.chmod(0o700)
    part.replace(path)
