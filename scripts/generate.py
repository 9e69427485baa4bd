"""Writes what is generated from the code, or says what is not up to date: scripts/generate.py [--check]."""

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
# File, and what makes it: `module:function`, and the function's arguments.
GENERATED: dict[str, tuple[str, tuple[str, ...]]] = {
    "docs/configuration.md": ("merope.daemon.config_reference:markdown", ()),
    "docs/reference/commands.md": ("commands_reference:markdown", ()),
    "docs/reference/drivers.md": ("drivers_reference:markdown", ()),
    "docs/reference/lifecycle.md": ("lifecycle_reference:markdown", ()),
    "docs/reference/methods.md": ("methods_reference:markdown", ()),
    "docs/reference/services.md": ("services_reference:markdown", ()),
    "packaging/oned.conf": ("merope.daemon.config_reference:sample", ("oned.conf",)),
}
# What must be so besides: `module:function` answers sentences of what is not.
CHECKS = ("drivers_reference:wrong_marks", "methods_reference:untested")


def text_of(file: str) -> str:
    maker, arguments = GENERATED[file]
    text = _function(maker)(*arguments)
    assert isinstance(text, str)
    return text


def _function(name: str) -> Callable[..., object]:
    module, _, function = name.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(module), function)
    return found


def faults() -> list[str]:
    found: list[str] = []
    for check in CHECKS:
        sentences = _function(check)()
        assert isinstance(sentences, Iterable)
        found += sentences
    return found


def main(argv: list[str]) -> int:
    stale = 0
    for file in GENERATED:
        path, text = ROOT / file, text_of(file)
        now = path.read_text() if path.exists() else ""
        if now == text:
            continue
        if "--check" in argv:
            stale += 1
            print(f"{file} is not up to date (make generate):")
            changes = difflib.unified_diff(now.splitlines(), text.splitlines(), lineterm="", n=1)
            print("\n".join(list(changes)[:20]))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"{file} written")
    found = faults() if "--check" in argv else []
    for sentence in found:
        print(sentence)
    return 1 if stale or found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
