"""Documents as XML, JSON and YAML.

JSON and YAML have one shape: an element with children is an object, repeated children are a list, text is
a string, an empty element an empty object.  The members of a pool are always a list, also when there is
one or none, so that a script can walk them.
"""

import re
from collections.abc import Callable
from typing import TypeAlias
from xml.etree.ElementTree import Element

from merope.cli.errors import CliError

Json: TypeAlias = "str | list[Json] | dict[str, Json]"

_TOKEN = re.compile(r"<!\[CDATA\[.*?\]\]>|<[^>]*>|[^<]+", re.DOTALL)


def pretty_xml(document: str) -> str:
    """The document indented by two blanks; text, CDATA and the order of elements stay as they are."""
    out: list[str] = []
    depth = 0
    open_leaf = False
    for token in _TOKEN.findall(document):
        if token.startswith("<![CDATA[") or not token.startswith("<"):
            if open_leaf or token.strip():
                out.append(token)
        elif token.startswith("</"):
            depth -= 1
            out.append(token if open_leaf else f"\n{'  ' * depth}{token}")
            open_leaf = False
        elif token.endswith("/>") or token.startswith(("<?", "<!")):
            out.append(f"\n{'  ' * depth}{token}")
            open_leaf = False
        else:
            out.append(f"\n{'  ' * depth}{token}")
            depth += 1
            open_leaf = True
    return "".join(out).lstrip("\n")


def to_json(document: Element) -> str:
    import json

    return json.dumps(plain(document), indent=2, ensure_ascii=False)


def to_yaml(document: Element) -> str:
    return yaml_of(plain(document))


def yaml_of(value: object) -> str:
    try:
        import yaml
    except ImportError as e:
        raise CliError("--yaml needs PyYAML: install it, or use --json (which is YAML too).") from e
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text.rstrip("\n")


FORMATS: dict[str, Callable[[Element], str]] = {"json": to_json, "yaml": to_yaml}


def plain(document: Element) -> dict[str, Json]:
    value = _value(document)
    member = document.tag.removesuffix("_POOL")
    if member != document.tag and isinstance(value, dict):
        members = value.get(member, [])
        value[member] = members if isinstance(members, list) else [members]
    return {document.tag: value}


def _value(el: Element) -> Json:
    if not len(el):
        return el.text or {}
    result: dict[str, Json] = {}
    for child in el:
        value = _value(child)
        if child.tag not in result:
            result[child.tag] = value
            continue
        before = result[child.tag]
        if isinstance(before, list):
            before.append(value)
        else:
            result[child.tag] = [before, value]
    return result
