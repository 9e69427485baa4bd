"""Commands of `onedb` on the documents of single objects: show, change, edit.

A document that is written is parsed first, as the core would; the columns beside it are written from it.
"""

import argparse
import operator
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.core.transaction import object_row
from merope.daemon.onedb_purge import last_index
from merope.daemon.onedb_session import Session
from merope.model.change import Change, Put
from merope.model.document import DocumentError
from merope.model.kinds import BY_TABLE, KINDS, Kind
from merope.store.errors import StoreError
from merope.store.schema import TABLES
from merope.store.sql import SqlStore

#: The words of administrators, where they are not those of the API.
_WORDS = {"vn": "vnet", "market": "marketplace", "marketapp": "marketplaceapp"}
TABLES_OF = {_WORDS.get(kind.api, kind.api): kind.table for kind in KINDS}
_EXPRESSION = re.compile(r"(?P<path>.+?)(?P<operator>!=|<=|>=|=|<|>)(?P<value>.*)", re.DOTALL)
_FIRST = re.compile(r"/(?P<name>[^/\[]+)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def show(session: Session, args: argparse.Namespace) -> int:
    kind = _kind(args.object)
    with session.reading() as store:
        print(_pretty(_body(store, kind, _id(args))))
    return 0


def change(session: Session, args: argparse.Namespace) -> int:
    kind = _kind(args.object)
    if args.delete == (args.value is not None):
        raise StoreError("Give either a value or --delete.")
    if args.dry:
        with session.reading() as store:
            for body in _changed(store, kind, args):
                print(_pretty(_document(kind, body)))
        return 0
    with session.writing() as store:
        count = _store(store, kind, [_document(kind, body) for body in _changed(store, kind, args)])
    print(f"{count} objects are changed.")
    return 0 if count else 1


def update(session: Session, args: argparse.Namespace) -> int:
    kind, oid = _kind(args.object), _id(args)
    with session.writing() as store:
        before = _body(store, kind, oid)
        text = _read(args.file) if args.file else _edited(_pretty(before))
        body = _document(kind, text)
        if kind.document.from_xml(body).id != oid:
            raise StoreError(f"The new document is not that of {kind.label} {oid}: its ID is another.")
        if body == before:
            print("Nothing is changed.")
            return 0
        _store(store, kind, [body])
    print(f"{kind.label[:1].upper()}{kind.label[1:]} {oid} is changed.")
    return 0


def _kind(word: str) -> Kind:
    table = TABLES_OF.get(word.lower())
    if table is None:
        raise StoreError(f"There are no objects {word!r}: {', '.join(sorted(TABLES_OF))}.")
    return BY_TABLE[table]


def _id(args: argparse.Namespace) -> int:
    if args.id is None:
        raise StoreError("Give the object's id (--id).")
    return int(args.id)


def _body(store: SqlStore, kind: Kind, oid: int) -> str:
    bodies = _bodies(store, kind, " WHERE oid=?", oid)
    if not bodies:
        raise StoreError(f"There is no {kind.label} {oid} in {store.where}.")
    return bodies[0]


def _bodies(store: SqlStore, kind: Kind, condition: str, *parameters: int) -> list[str]:
    place = TABLES[kind.table].names.index("body")
    return [str(row[place]) for row in store.whole_rows(kind.table, condition, parameters)]


def _pretty(body: str) -> str:
    try:
        root = _compact(body)
    except ElementTree.ParseError:
        # What is broken is shown as it is.
        return body
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _compact(text: str) -> Element:
    """Without the blanks between elements, which a person's editor puts there."""
    root = ElementTree.fromstring(text)  # noqa: S314 - the administrator's own document
    for element in root.iter():
        if len(element):
            element.text = None
        element.tail = None
    return root


def _document(kind: Kind, text: str) -> str:
    """The document as the core would write it. Raises StoreError for what is none."""
    try:
        compact = ElementTree.tostring(_compact(text), encoding="unicode")
        return kind.document.from_xml(compact).to_xml()
    except (ElementTree.ParseError, DocumentError, ValueError) as error:
        raise StoreError(
            f"This would be no document of a {kind.label}: {error}. Nothing is changed."
        ) from error


def _store(store: SqlStore, kind: Kind, bodies: list[str]) -> int:
    """One change with all of them."""
    values = [kind.document.from_xml(body) for body in bodies]
    if values:
        operations = tuple(Put(kind.table, value.id, object_row(value)) for value in values)
        store.commit([Change(last_index(store) + 1, int(time.time()), operations)])
    return len(values)


def _changed(store: SqlStore, kind: Kind, args: argparse.Namespace) -> Iterator[str]:
    """The new documents of the objects in which something is to be changed."""
    one = args.id is not None
    for body in [_body(store, kind, args.id)] if one else _bodies(store, kind, " ORDER BY oid"):
        root = _compact(body)
        if not _is_meant(root, args):
            continue
        if (
            _delete(root, args.xpath_of)
            if args.delete
            else _append(root, args)
            if args.append
            else _set(root, args)
        ):
            yield ElementTree.tostring(root, encoding="unicode")


def _is_meant(root: Element, args: argparse.Namespace) -> bool:
    if args.xpath is not None:
        return bool(_found(root, args.xpath))
    if args.expr is None:
        return True
    parsed = _EXPRESSION.fullmatch(args.expr)
    if parsed is None:
        raise StoreError(f"{args.expr!r} is no expression: PATH=VALUE, or with !=, <, >, <=, >=.")
    found = _found(root, parsed["path"])
    return bool(found) and _holds((found[0].text or "").strip(), parsed["operator"], parsed["value"].strip())


def _holds(text: str, sign: str, value: str) -> bool:
    if sign in ("=", "!="):
        return (text == value) is (sign == "=")
    try:
        return _COMPARE[sign](float(text), float(value))
    except ValueError:
        return False


def _found(root: Element, path: str) -> list[Element]:
    """What a path finds: from the document (/VM/…), anywhere in it (//…), or below it."""
    above = Element("document")
    above.append(root)
    first = _FIRST.match(path)
    if first is not None and first["name"] not in ("*", root.tag):
        raise StoreError(f"The path {path!r} leads to nothing in a document {root.tag}.")
    try:
        return above.findall(f".{path}") if path.startswith("/") else root.findall(path)
    except (SyntaxError, KeyError, ValueError, TypeError) as error:
        raise StoreError(
            f"The path {path!r} is not understood ({error}): names, *, //, [NAME='text'], [1], [last()] are."
        ) from error


def _set(root: Element, args: argparse.Namespace) -> bool:
    found = _found(root, args.xpath_of)
    for element in found:
        for child in list(element):
            element.remove(child)
        element.text = args.value
    return bool(found)


def _delete(root: Element, path: str) -> bool:
    found = set(_found(root, path))
    for parent in list(root.iter()):
        for child in list(parent):
            if child in found:
                parent.remove(child)
    return bool(found)


def _append(root: Element, args: argparse.Namespace) -> bool:
    path, _, name = args.xpath_of.rpartition("/")
    parents = [root] if path in ("", f"/{root.tag}") else _found(root, path)
    for parent in parents:
        ElementTree.SubElement(parent, name).text = args.value
    return bool(parents)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"Cannot read {path}: {error}.") from error


def _edited(text: str) -> str:
    """What $EDITOR leaves of it, in a file that only its owner can read."""
    editor = shlex.split(os.environ.get("EDITOR") or "vi")
    with tempfile.NamedTemporaryFile("w", suffix=".xml", prefix="onedb-") as file:
        file.write(text)
        file.flush()
        try:
            status = subprocess.run([*editor, file.name], check=False).returncode  # noqa: S603 - the user's editor
        except OSError as error:
            raise StoreError(f"The editor {editor[0]!r} cannot be started: {error.strerror}.") from error
        if status:
            raise StoreError(f"The editor ended with status {status}: nothing is changed.")
        return Path(file.name).read_text()
