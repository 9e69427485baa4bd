"""Probes of administrators: executables in the directories of 5.12, run as they are.

    <hypervisor>-probes.d/{host/beacon,host/monitor,host/system,vm/monitor,vm/status}

Each gets the words hypervisor, host id and host name, base64 of the configuration on its standard input, and
prints a template's text. Source: spec drivers.yaml `im.probe_dirs` and `probe_args`.
"""

from __future__ import annotations

import os

from merope_agent import commands
from merope_agent.config import Config

DIRECTORIES = {
    "BEACON_HOST": "host/beacon",
    "SYSTEM_HOST": "host/system",
    "MONITOR_HOST": "host/monitor",
    "STATE_VM": "vm/status",
    "MONITOR_VM": "vm/monitor",
}
SECONDS = 60.0


def executables(config: Config, kind: str) -> list[str]:
    if not config.custom_probes:
        return []
    directory = os.path.join(
        config.custom_probes, config.hypervisor + "-probes.d", *DIRECTORIES[kind].split("/")
    )
    try:
        paths = [os.path.join(directory, name) for name in sorted(os.listdir(directory)) if name[0] != "."]
    except OSError:
        return []
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def run(config: Config, kind: str) -> tuple[list[str], list[str]]:
    """What each of them printed, and what went wrong with others, as sentences."""
    said, wrong = [], []
    for path in executables(config, kind):
        try:
            text = commands.run(
                (path, config.hypervisor, str(config.host), config.name), SECONDS, config.for_probes()
            )
        except commands.CommandError as error:
            wrong.append(str(error))
        else:
            if text.strip():
                said.append(text)
    return said, wrong
