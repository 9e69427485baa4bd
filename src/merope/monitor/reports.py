"""What payloads say, as values: the capacity of a host, what its VMs do, and figures.

A payload comes from an agent of ours, parts of it from executables of administrators on the host: what one
of those garbles is left out, with a sentence about it. Source: spec drivers.yaml `im`.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field

from merope.model.template import Template, TemplateError, Vector
from merope_agent.message import SEPARATOR

POWEROFF, UNKNOWN = "POWEROFF", "UNKNOWN"
_MOST_VMS = 10_000

#: A VM's figures as our own agents write them; anything else is read as any template.
_PLAIN_VM = re.compile(
    r'VM=\[ ID="(\d{1,9})", DEPLOY_ID="[^"\\]*", MONITOR="([A-Za-z0-9+/]*={0,2})" \]\n', re.ASCII
)
_PLAIN = re.compile(r'([A-Z][A-Z0-9_]*)="([^"\\\]\x00-\x1f]*)"\n', re.ASCII)

Value = str | Vector
Figures = dict[str, object]


@dataclass(slots=True)
class Read:
    """What was made of a payload; `wrong` are sentences about the parts that were not."""

    template: Template
    wrong: list[str] = field(default_factory=list)


def read(payload: str) -> Read:
    """All parts of a payload as one template."""
    found = Read(Template())
    for part in payload.split(SEPARATOR):
        try:
            for name, value in Template.parse(part.lstrip()).items():
                found.template.add(name, value)
        except TemplateError as error:
            found.wrong.append(f"what a probe printed cannot be read: {error}: {part[:100]!r}")
    return found


@dataclass(frozen=True, slots=True)
class States:
    """What VMs do, by their ids, and what domains do that carry none, by their names."""

    vms: dict[int, str]
    others: dict[str, str]
    complete: bool
    """Whether that is all of them: what is missing is in the state `missing`."""
    missing: str


def states(template: Template) -> States:
    vms: dict[int, str] = {}
    others: dict[str, str] = {}
    for vm in template.vectors("VM")[:_MOST_VMS]:
        state = vm.get("STATE", "").upper()
        number = _whole(vm.get("ID", ""))
        if number is not None:
            vms[number] = state
        elif vm.get("DEPLOY_ID"):
            others[vm["DEPLOY_ID"]] = state
    missing = template.get("MISSING_STATE").upper()
    return States(vms, others, template.get_bool("SYNC_STATE"), missing or POWEROFF)


def host_figures(template: Template) -> Figures:
    """Raises ValueError where a number is none."""
    names = {
        "FREE_CPU": "FREECPU",
        "FREE_MEMORY": "FREEMEMORY",
        "USED_CPU": "USEDCPU",
        "USED_MEMORY": "USEDMEMORY",
        "NETRX": "NETRX",
        "NETTX": "NETTX",
    }
    return {shown: template.get_int(name, 0) for shown, name in names.items()}


def vm_figures(payload: str, wrong: list[str]) -> Iterator[tuple[int, Figures]]:
    """The figures of each VM; sentences about what was not understood are added to `wrong`."""
    rest = _PLAIN_VM.sub("", payload)
    for number, encoded in _PLAIN_VM.findall(payload):
        figures = _decoded(encoded, wrong)
        if figures:
            yield int(number), figures
    if not rest.strip(f"{SEPARATOR}\n "):
        return
    found = read(rest)
    wrong += found.wrong
    for vm in found.template.vectors("VM")[:_MOST_VMS]:
        oid = _whole(vm.get("ID", ""))
        figures = _decoded(vm.get("MONITOR", ""), wrong)
        if oid is not None and figures:
            yield oid, figures


def _decoded(encoded: str, wrong: list[str]) -> Figures:
    try:
        text = b64decode(encoded, validate=True).decode()
        pairs = _PLAIN.findall(text)
        if sum(len(name) + len(value) + 4 for name, value in pairs) == len(text):
            return dict(pairs)
        return _shown(Template.parse(text))
    except (binascii.Error, UnicodeDecodeError, TemplateError) as error:
        wrong.append(f"the figures of a VM cannot be read: {error}")
        return {}


def _shown(template: Template) -> Figures:
    """Attributes that come several times are one element each."""
    found: Figures = {}
    for name, value in template.items():
        known = found.get(name)
        if isinstance(value, Vector):
            found[name] = [*known, value] if isinstance(known, list) else [value]
        else:
            found[name] = value
    return found


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
