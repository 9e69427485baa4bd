"""What a cell of a table may know besides its own element."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

if TYPE_CHECKING:
    from merope.client import Client

Cell = Callable[[Element, "View"], str]


class View:
    """The moment of the list, whether names are shown as ids, the pool's document and the cloud asked."""

    def __init__(self, client: "Client", numeric: bool = False, now: float | None = None) -> None:
        self.client = client
        self.numeric = numeric
        self.now = time.time() if now is None else now
        self.pool: Element | None = None
        self._names: dict[str, dict[str, str]] = {}

    def name_of(self, kind: str, oid: str) -> str:
        """The name of an object of another pool (read once), its id when it is not there."""
        if kind not in self._names:
            self._names[kind] = {e.findtext("ID", ""): e.findtext("NAME", "") for e in self.client.pool(kind)}
        return self._names[kind].get(oid, oid)


def text(path: str, default: str = "") -> Cell:
    """The text at `path`."""

    def cell(el: Element, _: View) -> str:
        return el.findtext(path) or default

    return cell


def count(path: str) -> Cell:
    """How many elements are at `path`."""

    def cell(el: Element, _: View) -> str:
        return str(len(el.findall(path)))

    return cell


def user(el: Element, view: View) -> str:
    return el.findtext("UID" if view.numeric else "UNAME", "")


def group(el: Element, view: View) -> str:
    return el.findtext("GID" if view.numeric else "GNAME", "")
