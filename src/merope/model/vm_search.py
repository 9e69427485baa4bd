"""Searching VMs by KEY=VALUE: what is looked through, and what is found in it.

The text is that of 5.12's column search_token, in which MySQL searches; every database searches alike here.
Source: spec db.yaml `vm_pool.search_token`.
"""

import re

from merope.model.template import Template
from merope.model.vm import VM

_WORD = re.compile(r"\w+")


def search_token(vm: VM) -> str:
    """KEY=VALUE of everything that a VM can be found by, a line each; keys of vectors stand alone."""
    lines = [f"UNAME={vm.uname}", f"GNAME={vm.gname}"]
    for template in (vm.template, vm.user_template):
        lines += _pairs(template)
    lines.append(f"NAME={vm.name}")
    record = vm.history
    if record is not None:
        lines += [
            f"HOSTNAME={record.hostname}",
            f"HID={record.hid}",
            f"CID={record.cid}",
            f"DS_ID={record.ds_id}",
        ]
    return _joined("\n".join(lines)) + "\n"


def _joined(text: str) -> str:
    """What holds a word together besides letters and digits is one character, in texts and in queries."""
    return text.replace("-", "_").replace(".", "_").replace(":", "_")


def _pairs(template: Template) -> list[str]:
    found: list[str] = []
    for name, value in template.items():
        if isinstance(value, str):
            found.append(f"{name}={value}")
        else:
            found += [f"{key}={text}" for key, text in value.items()]
    return found


class Query:
    """Words that follow each other, in any case: `NAME=web` finds no `web-1`; `NAME=my` finds `my vm`."""

    def __init__(self, text: str) -> None:
        self._phrase = _words(text)

    @property
    def rarest(self) -> str:
        """A word of it, in ASCII and lower case, that a database can look for; empty when it has none."""
        words = [word for word in self._phrase.split() if word.isascii()]
        return max(words, key=len, default="")

    def finds(self, token: str) -> bool:
        """Whether the words are in a search token."""
        return bool(self._phrase.strip()) and self._phrase in _words(token)


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(_joined(text).lower()))} "
