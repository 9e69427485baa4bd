"""Text of templates, as probes write it: NAME="value" and NAME=[ KEY="value", … ]."""

from __future__ import annotations

import re
from typing import Mapping, Union

Attributes = Mapping[str, Union[str, int, float]]

#: What documents of the cloud cannot hold; names that users of a host gave may have it.
_UNSTORABLE = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")


def single(name: str, value: str | int | float) -> str:
    return f"{name}={quoted(value)}\n"


def singles(attributes: Attributes) -> str:
    return "".join(single(name, value) for name, value in attributes.items())


def vector(name: str, attributes: Attributes) -> str:
    inside = ", ".join(f"{key}={quoted(value)}" for key, value in attributes.items())
    return f"{name}=[ {inside} ]\n"


def quoted(value: str | int | float) -> str:
    """A backslash escapes a quote and nothing else, so that one at the end needs something after it."""
    text = _UNSTORABLE.sub(" ", str(value)).replace("]]>", "]] >")
    text = text.replace('"', '\\"')
    return f'"{text} "' if text.endswith("\\") else f'"{text}"'
