"""The reference of all options, and sample files, made from the declarations."""

import textwrap
from collections.abc import Iterator
from typing import Any

from merope.daemon.config import FILES
from merope.model.option import Declaration, NameList, Option, Section, SectionList, declarations

_INTRODUCTION = """\
# Configuration

Everything has a default: a cloud needs no file. Where one is wanted, it is `oned.conf` in the home of the
cloud (`one start --home DIR`), in `etc/` of `ONE_LOCATION`, or what `--config FILE` names. `monitord.conf`
and `sched.conf` are read from the same directory where they exist. The syntax is the original's:

    # a comment
    PORT = 2633
    DB = [ BACKEND = "sqlite", TIMEOUT = 2500 ]
    VM_RESTRICTED_ATTR = "NIC/MAC"
    VM_RESTRICTED_ATTR = "RAW"

- An option that does not exist, or a value that is not allowed, is an error that names file, line, option and
  what is allowed. All errors are told at once, and nothing starts (exit status 78).
- `--port` and `--listen` win over the file. `one config` prints what is in force and where each value came
  from; `one config --diff` only what is not a default; passwords and keys are never printed.
- An option that is written once for each entry (`VM_RESTRICTED_ATTR` and the like): the lines of the file
  replace the default list; one line with `""` makes it empty.
- Driver sections: those of the file replace the defaults, but the `…_MAD_CONF` sections replace only the
  default of the same `NAME`.
- `--drivers dummy` puts the simulated hypervisor in the place of all `VM_MAD` sections and listens at
  127.0.0.1.

This page is generated from the declarations in `src/merope/model/settings.py`.
"""


def markdown() -> str:
    """docs/configuration.md."""
    parts = [_INTRODUCTION]
    for file, settings in FILES.items():
        declared = list(declarations(settings).values())
        parts.append(f"\n## {file}\n\n| Option | Allowed | Default | Meaning |\n|---|---|---|---|\n")
        parts += [_row(option) for option in declared if isinstance(option, Option)]
        parts += [_list(option) for option in declared if isinstance(option, NameList)]
        parts += [_sections(option) for option in declared if isinstance(option, SectionList)]
    return "".join(parts)


def _row(option: Option) -> str:
    default = "(unset)" if option.default is None else f"`{option.default}`" if option.default else "(blank)"
    remarks = [option.meaning, option.note]
    if option.ours:
        remarks.append("Not in OpenNebula.")
    if option.secret:
        remarks.append("Secret.")
    cells = (f"`{option.name}`", option.kind.allowed, default, " ".join(r for r in remarks if r))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _list(option: NameList) -> str:
    return f"\n**`{option.name}`**, once for each entry. {option.meaning} Default:\n\n" + _wrapped(
        option.default
    )


def _wrapped(words: tuple[str, ...]) -> str:
    return (
        textwrap.indent("\n".join(textwrap.wrap(" ".join(words), 96, break_on_hyphens=False)), "    ") + "\n"
    )


def _sections(option: SectionList) -> str:
    keys = ", ".join(f"`{key}`" for key in option.keys)
    merged = "merged with the defaults by `NAME`" if option.merged else "those of a file replace the defaults"
    text = f"\n**`{option.name}`** sections ({merged}). {option.meaning} Keys: {keys}. Default:\n\n"
    return text + "".join(
        textwrap.indent(_section(option.name, section), "    ") for section in option.default
    )


def _section(name: str, section: Section) -> str:
    pairs = ",\n".join(f'  {key} = "{value}"' for key, value in section.items())
    return f"{name} = [\n{pairs}\n]\n"


def sample(file: str) -> str:
    """A configuration file in which every option stands as a comment, with its default."""
    lines = [f"# {file}: every option with its default; remove the # of what you change.", ""]
    settings: type[Any] = FILES[file]
    section = ""
    for declared in declarations(settings).values():
        lines += _sample_lines(declared, section)
        section = declared.name.partition("/")[0]
    return "\n".join(lines) + "\n"


def _sample_lines(declared: Declaration, section_before: str) -> Iterator[str]:
    section, slash, key = declared.name.partition("/")
    if section != section_before:
        yield ""
    yield from textwrap.wrap(declared.meaning, 96, initial_indent="# ", subsequent_indent="# ")
    if isinstance(declared, NameList):
        yield from (f'#{declared.name} = "{name}"' for name in declared.default)
    elif isinstance(declared, SectionList):
        for default in declared.default:
            yield from (f"#{line}" for line in _section(declared.name, default).splitlines())
    elif slash:
        yield f'#{section} = [ {key} = "{declared.default or ""}" ]'
    else:
        yield f'#{declared.name} = "{declared.default or ""}"'
