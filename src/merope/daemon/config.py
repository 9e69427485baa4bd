"""What a cloud is configured with: the files, the command line and the defaults, checked and merged.

`load` reads oned.conf, monitord.conf and sched.conf. Every value knows where it came from, so that
`one config` can say it; every error names file, line, option and what is allowed.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from merope.daemon import config_syntax
from merope.daemon.config_syntax import Block, Pair
from merope.model import settings_drivers
from merope.model.option import (
    Declaration,
    NameList,
    Option,
    Section,
    SectionKeys,
    SectionList,
    by_name,
    declarations,
)
from merope.model.settings import MonitorSettings, SchedulerSettings, Settings
from merope.model.template import Template, TemplateError, Vector

MASK = "***"
DEFAULT = "default"
HOME = "home"
COMMAND_LINE = "command line"
SANDBOX = "--drivers dummy"
FILES: Mapping[str, type[Any]] = {
    "oned.conf": Settings,
    "monitord.conf": MonitorSettings,
    "sched.conf": SchedulerSettings,
}
S = TypeVar("S")


class ConfigError(Exception):
    """A configuration that is refused; `problems` has one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Entry:
    """One value in force: option, its text as given (a tuple for a list, a dict for a section), its origin.

    `origin` is "default", "command line", "--drivers dummy", "home", or "FILE:LINE".
    """

    file: str
    name: str
    value: str | tuple[str, ...] | Section
    origin: str
    secret: bool = False
    shown: bool = True

    @property
    def masked(self) -> str | tuple[str, ...] | Section:
        return MASK if self.secret and self.value else self.value


@dataclass(frozen=True)
class Config:
    """The configuration in force; `settings` is the part that the core works with."""

    settings: Settings
    monitor: MonitorSettings
    scheduler: SchedulerSettings
    entries: tuple[Entry, ...]

    def origin(self, name: str, file: str = "oned.conf") -> str:
        """Where the value of an option came from ("default" for one that has none)."""
        return next((e.origin for e in self.entries if (e.file, e.name) == (file, name)), DEFAULT)

    def given(self, name: str, file: str = "oned.conf") -> bool:
        """Whether a file or the command line gave the value."""
        return self.origin(name, file) not in (DEFAULT, HOME)

    def to_template(self) -> Template:
        """oned.conf as one.system.config answers it: all that is in force, secrets masked."""
        return _document(e for e in self.entries if e.file == "oned.conf")


def load(
    home: Path, file: Path | None = None, options: Mapping[str, str] | None = None, sandbox: bool = False
) -> Config:
    """The configuration of the cloud in `home`; `file` is its oned.conf, None for defaults alone.

    monitord.conf and sched.conf are read where they stand beside `file`. `options` are values of oned.conf
    that the command line gives. `sandbox` puts the simulated drivers in force. Raises ConfigError.
    """
    problems: list[str] = []
    read = {name: _Reader(name, settings, problems) for name, settings in FILES.items()}
    if file is not None:
        for name, reader in read.items():
            path = file if name == "oned.conf" else file.parent / name
            if name == "oned.conf" or path.exists():
                reader.read(path)
    oned = read["oned.conf"]
    oned.preset("DATASTORE_LOCATION", str(home / "datastores"), HOME)
    key_file = home / ".one" / "one_key"
    if key_file.exists():
        oned.preset("ONE_KEY", key_file.read_text().strip(), str(key_file))
    if sandbox:
        # Everybody knows a sandbox's password: there is nothing for an expensive check to protect.
        oned.preset("PASSWORD_KDF_COST", "4", SANDBOX)
        for name, sections in settings_drivers.SANDBOX.items():
            oned.put_sections(name, sections, SANDBOX)
    for name, text in (options or {}).items():
        oned.put(name, text, COMMAND_LINE)
    if problems:
        raise ConfigError(problems)
    entries = tuple(entry for reader in read.values() for entry in reader.entries())
    document = _document(e for e in entries if e.file == "oned.conf").to_xml("OPENNEBULA_CONFIGURATION")
    return Config(
        dataclasses.replace(oned.build(Settings), document=document),
        read["monitord.conf"].build(MonitorSettings),
        read["sched.conf"].build(SchedulerSettings),
        entries,
    )


class _Reader:
    """The values of one file: defaults until something else is put."""

    def __init__(self, file: str, settings: type[Any], problems: list[str]) -> None:
        self.file = file
        self.fields = declarations(settings)
        self.by_name: dict[str, Declaration] = {d.name: d for d in self.fields.values()}
        self.given: dict[str, tuple[Any, str]] = {}
        self.problems = problems

    def read(self, path: Path) -> None:
        try:
            attributes = config_syntax.read(path.read_text())
        except TemplateError as error:
            self.problems.append(f"{path}:{error.line}: {error}")
            return
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self.problems.append(f"{path} cannot be read: {reason}")
            return
        for attribute in attributes:
            if isinstance(attribute, Block):
                self._block(path, attribute)
            else:
                self._single(path, attribute)

    def put(self, name: str, text: str, origin: str) -> None:
        option = self.by_name[name]
        assert isinstance(option, Option)
        try:
            option.kind.parse(text)
        except ValueError:
            self.problems.append(f'{origin}: {name} must be {option.kind.allowed}, not "{text}"')
            return
        self.given[name] = (text, origin)

    def preset(self, name: str, text: str, origin: str) -> None:
        if name not in self.given:
            self.given[name] = (text, origin)

    def put_sections(self, name: str, sections: Iterable[Section], origin: str) -> None:
        self.given[name] = ([(section, origin) for section in sections], origin)

    def _single(self, path: Path, pair: Pair) -> None:
        origin = f"{path}:{pair.line}"
        declared = self.by_name.get(pair.name)
        if isinstance(declared, NameList):
            names, _ = self.given.setdefault(pair.name, ([], origin))
            if pair.text:
                names.append(pair.text.upper())
        elif isinstance(declared, Option):
            self._put_once(pair.name, pair.text, origin)
        elif isinstance(declared, SectionList) or self._keys_of(pair.name):
            self.problems.append(f"{origin}: {pair.name} must be a section: {pair.name} = [ KEY = value, … ]")
        else:
            self.problems.append(f"{origin}: unknown option {pair.name}{self._hint(pair.name)}")

    def _block(self, path: Path, block: Block) -> None:
        origin = f"{path}:{block.line}"
        declared = self.by_name.get(block.name)
        keys = self._keys_of(block.name)
        if isinstance(declared, SectionList):
            section = self._section(path, block, declared.keys)
            sections, _ = self.given.setdefault(block.name, ([], origin))
            self._check_name(block.name, section, origin, [s for s, _ in sections], declared.default)
            sections.append((section, origin))
        elif keys:
            for pair in block.pairs:
                where = f"{path}:{pair.line}"
                if pair.name in keys:
                    self._put_once(f"{block.name}/{pair.name}", pair.text, where)
                else:
                    self._unknown_key(where, block.name, pair.name, keys)
        elif declared is not None:
            self.problems.append(f"{origin}: {block.name} must be a single value, not a section")
        else:
            self.problems.append(f"{origin}: unknown section {block.name}{self._hint(block.name)}")

    def _check_name(
        self, name: str, section: Section, origin: str, before: list[Section], default: tuple[Section, ...]
    ) -> None:
        given = section.get("NAME")
        if given is None and "NAME" in default[0]:
            self.problems.append(f"{origin}: {name} needs a NAME")
        elif given in [other.get("NAME") for other in before]:
            self.problems.append(f"{origin}: there is a second {name} {given or ''}".rstrip())

    def _put_once(self, name: str, text: str, origin: str) -> None:
        if name in self.given:
            self.problems.append(f"{origin}: {name} is set twice, first at {self.given[name][1]}")
        else:
            self.put(name, text, origin)

    def _section(self, path: Path, block: Block, keys: SectionKeys) -> Section:
        section: dict[str, str] = {}
        for pair in block.pairs:
            where = f"{path}:{pair.line}"
            kind = keys.get(pair.name) or next(
                (k for key, k in keys.items() if key.endswith("*") and pair.name.startswith(key[:-1])), None
            )
            if kind is None:
                self._unknown_key(where, block.name, pair.name, keys)
                continue
            try:
                kind.parse(pair.text)
            except ValueError:
                self.problems.append(
                    f'{where}: {block.name}/{pair.name} must be {kind.allowed}, not "{pair.text}"'
                )
            section[pair.name] = pair.text
        return section

    def _unknown_key(self, where: str, block: str, key: str, keys: Iterable[str]) -> None:
        self.problems.append(f"{where}: unknown key {key} in {block}: allowed are {', '.join(keys)}")

    def _keys_of(self, block: str) -> list[str]:
        return [name.partition("/")[2] for name in self.by_name if name.startswith(block + "/")]

    def _hint(self, name: str) -> str:
        known = {n.partition("/")[0] for n in self.by_name}
        near = difflib.get_close_matches(name, known, 1)
        others = [file for file, settings in FILES.items() if _has(settings, name) and file != self.file]
        if others:
            return f" (it belongs to {others[0]})"
        return f" (did you mean {near[0]}?)" if near else ""

    def entries(self) -> list[Entry]:
        found: list[Entry] = []
        for declared in self.fields.values():
            found.extend(self._entries_of(declared))
        return found

    def _entries_of(self, declared: Declaration) -> list[Entry]:
        value, origin = self.given.get(declared.name, (declared.default, DEFAULT))
        if isinstance(declared, SectionList):
            return [Entry(self.file, declared.name, s, o) for s, o in self._sections(declared)]
        if isinstance(declared, NameList):
            return [Entry(self.file, declared.name, tuple(value), origin)]
        if value is None:
            return []
        shown = declared.shown or origin not in (DEFAULT, SANDBOX)
        return [Entry(self.file, declared.name, value, origin, declared.secret, shown)]

    def _sections(self, declared: SectionList) -> list[tuple[Section, str]]:
        """Those of the file, with the defaults whose NAME it does not mention where they are merged."""
        defaults = [(section, DEFAULT) for section in declared.default]
        if declared.name not in self.given:
            return defaults
        given: list[tuple[Section, str]] = self.given[declared.name][0]
        if not declared.merged:
            return given
        mentioned = {section.get("NAME") for section, _ in given}
        return given + [(s, o) for s, o in defaults if s.get("NAME") not in mentioned]

    def build(self, settings: type[S]) -> S:
        values: dict[str, object] = {}
        for field, declared in self.fields.items():
            if declared.name not in self.given:
                continue
            if isinstance(declared, SectionList):
                values[field] = by_name(section for section, _ in self._sections(declared))
            elif isinstance(declared, NameList):
                values[field] = tuple(self.given[declared.name][0])
            else:
                values[field] = declared.kind.parse(self.given[declared.name][0])
        return settings(**values)


def _has(settings: type[Any], name: str) -> bool:
    return any(d.name.partition("/")[0] == name for d in declarations(settings).values())


def _document(entries: Iterable[Entry]) -> Template:
    document = Template()
    for entry in entries:
        value = entry.masked
        name, slash, key = entry.name.partition("/")
        if not entry.shown:
            continue
        if isinstance(value, str) and slash:
            vector = document.vector(name)
            if vector is None:
                vector = Vector()
                document.add(name, vector)
            vector[key] = value
        elif isinstance(value, str):
            document.add(name, value)
        elif isinstance(value, tuple):
            for text in value:
                document.add(name, text)
        else:
            document.add(name, Vector(value))
    return document
