"""What a network driver is told of the host that it works on: where it may write, how the site is set."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import Run, run_ip
from merope.drivers.network.tool import Tool, run_tool

CONF = Path("remotes/etc/vnm/OpenNebulaNetwork.conf")
_LINE = re.compile(r"( *):?([a-z][a-z0-9_]*):(?: +(.*))?")
_YES = ("true", "yes", "on", "1")


@dataclass(frozen=True, slots=True)
class Settings:
    """OpenNebulaNetwork.conf: `values` of its lines, `sections` of those that have lines below them."""

    values: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def keep_empty_bridge(self) -> bool:
        return self.flag("keep_empty_bridge")

    def flag(self, name: str) -> bool:
        return self.values.get(name, "").lower() in _YES

    def options(self, name: str) -> dict[str, str]:
        return dict(self.sections.get(name, {}))


@dataclass(frozen=True, slots=True)
class Site:
    """`state` is a directory of this host that a reboot may empty, `datastores` where disks of VMs are."""

    state: Path
    settings: Settings = field(default_factory=Settings)
    datastores: Path = Path("/var/lib/one/datastores")
    ip: Run = run_ip
    tool: Tool = run_tool

    @classmethod
    def of_cloud(cls, home: Path, datastores: Path) -> "Site":
        """The site of the cloud under `home`. Raises DriverError for a conf that cannot be read."""
        return cls(home / "run" / "networks", read_settings(home / CONF), datastores)


def read_settings(path: Path) -> Settings:
    """The lines `:name: value` and `:section:` with such lines below; no file, no settings."""
    if not path.exists():
        return Settings()
    values: dict[str, str] = {}
    sections: dict[str, dict[str, str]] = {}
    into = values
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not text or text == "---":
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise DriverError(f"{path}, line {number}: expected :name: value")
        indent, name, value = match[1], match[2], (match[3] or "").strip().strip("'\"")
        if not indent:
            into = values if value else sections.setdefault(name, {})
        if value or indent:
            into[name] = value
    return Settings(values, sections)
