"""Declarative documents: a field is declared once, and writing and reading its XML follow from it.

A document is a dataclass whose annotations carry a codec::

    @document("CLUSTER")
    @dataclass(slots=True)
    class Cluster(Document):
        id: Integer
        name: Text
        hosts: IdSet

The element's name is the attribute's in upper case, and the order of the fields is the order of the
elements, which is part of the interface (the schemas are sequences).
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar, get_type_hints
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.model.long_text import ChunkTexts, LongList, LongText
from merope.model.template import Template

T = TypeVar("T")


class DocumentError(ValueError):
    """A stored document that does not have the elements its kind must have."""


def escape(text: str) -> str:
    """Text as it stands between tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(wire: bytes) -> str:
    """The text of what `escape` wrote, encoded."""
    text = wire.decode()
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class Codec(Generic[T]):
    """How one field is written and read. `read` gets every child element of that name, perhaps none."""

    def write(self, tag: str, value: T) -> str:
        raise NotImplementedError

    def read(self, elements: list[Element]) -> T:
        raise NotImplementedError

    def longest(self, value: T) -> int:  # noqa: ARG002 - most fields are no lists
        """Entries of the longest list in the field that can be held in pieces."""
        return 0

    def filled(self, tag: str, value: T, lists: Mapping[str, LongList]) -> T:
        """What was read of a text without its long lists, with those that are the field's."""
        raise NotImplementedError

    def pieces(self, tag: str, value: T, most: int) -> list[str | LongList]:
        """As `write`; lists of more than `most` entries, of which there is one, are pieces of their own."""
        raise NotImplementedError


class _Integer(Codec[int]):
    def write(self, tag: str, value: int) -> str:
        return f"<{tag}>{value:d}</{tag}>"

    def read(self, elements: list[Element]) -> int:
        return int(elements[0].text or 0) if elements else 0


class _OptionalId(Codec[int]):
    """An id, or -1 written as an empty element."""

    def write(self, tag: str, value: int) -> str:
        return f"<{tag}/>" if value < 0 else f"<{tag}>{value:d}</{tag}>"

    def read(self, elements: list[Element]) -> int:
        return int(elements[0].text) if elements and elements[0].text else -1


class _Text(Codec[str]):
    def write(self, tag: str, value: str) -> str:
        return f"<{tag}>{escape(value)}</{tag}>" if value else f"<{tag}/>"

    def read(self, elements: list[Element]) -> str:
        return (elements[0].text or "") if elements else ""


def cdata(text: str) -> str:
    """A CDATA section, or several where the text would end one."""
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>') if ']]>' in text else text}]]>"


class _Cdata(Codec[str]):
    def write(self, tag: str, value: str) -> str:
        return f"<{tag}>{cdata(value)}</{tag}>"

    def read(self, elements: list[Element]) -> str:
        return (elements[0].text or "") if elements else ""


class _CdataOrEmpty(_Cdata):
    def write(self, tag: str, value: str) -> str:
        return f"<{tag}>{cdata(value)}</{tag}>" if value else f"<{tag}/>"


_FEW = 16


class Ids(set[int]):
    """A set of ids that keeps its XML up to date, so that adding one to many costs no more than to few.

    The ids stand in ascending order. Only `add`, `discard`, `remove` and `clear` change it in place.
    """

    __slots__ = ("_texts",)

    def __init__(self, ids: Iterable[int] = ()) -> None:
        super().__init__(ids)
        self._texts: ChunkTexts | None = None

    def add(self, oid: int) -> None:
        if oid in self:
            return
        super().add(oid)
        if self._texts is not None:
            self._texts.add(oid, f"<ID>{oid}</ID>")

    def discard(self, oid: object) -> None:
        if oid not in self:
            return
        super().discard(oid)
        if self._texts is not None and isinstance(oid, int):
            self._texts.touch(oid)

    def remove(self, oid: int) -> None:
        if oid not in self:
            raise KeyError(oid)
        self.discard(oid)

    def clear(self) -> None:
        super().clear()
        self._texts = None

    @classmethod
    def of_chunks(cls, chunks: Mapping[int, str]) -> "Ids":
        """The set that `chunks` is answered of."""
        ids = cls(int(oid) for text in chunks.values() for oid in text[4:-5].split("</ID><ID>"))
        ids._texts = ChunkTexts.of(chunks, max(ids, default=-1))
        return ids

    def chunks(self) -> Mapping[int, str]:
        """The XML by chunk; not to be kept, as it changes with the set."""
        if self._texts is None:
            self._texts = ChunkTexts(self)
        return self._texts.fresh(self._render)

    def _render(self, span: range) -> str:
        return "".join([f"<ID>{oid}</ID>" for oid in span if oid in self])

    def inner_xml(self) -> str:
        if len(self) <= _FEW:
            return "".join([f"<ID>{oid}</ID>" for oid in sorted(self)])
        return "".join(self.chunks().values())


class _IdSet(Codec[set[int]]):
    def write(self, tag: str, value: set[int]) -> str:
        inner = (value if isinstance(value, Ids) else Ids(value)).inner_xml()
        return f"<{tag}>{inner}</{tag}>" if inner else f"<{tag}/>"

    def read(self, elements: list[Element]) -> set[int]:
        return Ids(int(child.text or 0) for child in elements[0]) if elements else Ids()

    def longest(self, value: set[int]) -> int:
        return len(value)

    def filled(self, tag: str, value: set[int], lists: Mapping[str, LongList]) -> set[int]:
        return Ids.of_chunks(lists[tag].chunks) if tag in lists else value

    def pieces(self, tag: str, value: set[int], most: int) -> list[str | LongList]:
        assert len(value) > most
        chunks = (value if isinstance(value, Ids) else Ids(value)).chunks()
        return [f"<{tag}>", LongList(tag, dict(chunks)), f"</{tag}>"]


class _Template(Codec[Template]):
    def write(self, tag: str, value: Template) -> str:
        return value.to_xml(tag)

    def read(self, elements: list[Element]) -> Template:
        return Template.from_element(elements[0]) if elements else Template()


Integer = Annotated[int, _Integer()]
OptionalId = Annotated[int, _OptionalId()]
Text = Annotated[str, _Text()]
Cdata = Annotated[str, _Cdata()]
CdataOrEmpty = Annotated[str, _CdataOrEmpty()]
IdSet = Annotated[set[int], _IdSet()]
Attributes = Annotated[Template, _Template()]


class Layout:
    """How fields are written one after the other, prepared for documents that are written often."""

    def __init__(self, fields: Sequence[tuple[str, str, Codec[Any]]]) -> None:
        names = [name for name, _, _ in fields]
        # Of one name alone it would answer the value, and no tuple.
        self._values: Callable[[object], tuple[Any, ...]] = attrgetter(*names, names[0])
        self._formats = [
            f"<{tag}>%d</{tag}>" if isinstance(codec, _Integer) else "%s" for _, tag, codec in fields
        ]
        self._format = "".join(self._formats)
        self._codecs = [
            (place, tag, codec)
            for place, (_, tag, codec) in enumerate(fields)
            if not isinstance(codec, _Integer)
        ]
        self._names = names
        self._lists = [each for each in self._codecs if type(each[2]).longest is not Codec.longest]

    def inner_xml(self, document: object) -> str:
        """The elements of the fields."""
        values = list(self._values(document))
        for place, tag, codec in self._codecs:
            values[place] = codec.write(tag, values[place])
        return self._format % tuple(values[:-1])

    def fill(self, document: object, lists: Mapping[str, LongList]) -> None:
        """Puts long lists where they belong in a document that was read without them."""
        for place, tag, codec in self._lists:
            name = self._names[place]
            setattr(document, name, codec.filled(tag, getattr(document, name), lists))

    def pieces(self, document: object, most: int) -> list[str | LongList] | None:
        """The elements, lists of more than `most` entries in pieces; None where no list is that long."""
        values = list(self._values(document))
        long = [place for place, _, codec in self._lists if codec.longest(values[place]) > most]
        if not long:
            return None
        pieces: dict[int, list[str | LongList]] = {}
        for place, tag, codec in self._codecs:
            if place in long:
                pieces[place] = codec.pieces(tag, values[place], most)
            else:
                values[place] = codec.write(tag, values[place])
        written: list[str | LongList] = []
        start = 0
        for place, found in pieces.items():
            written.append("".join(self._formats[start:place]) % tuple(values[start:place]))
            written += found
            start = place + 1
        written.append("".join(self._formats[start:]) % tuple(values[start:-1]))
        return written


class Document:
    """Base of every stored object; see the module's docstring."""

    __slots__ = ()
    id: int
    name: str
    ROOT: ClassVar[str]
    FIELDS: ClassVar[tuple[tuple[str, str, Codec[Any]], ...]]
    LAYOUT: ClassVar["Layout"]

    def to_xml(self) -> str:
        """The document on one line, as the wire and the database have it."""
        return f"<{self.ROOT}>{self.inner_xml()}</{self.ROOT}>"

    def inner_xml(self) -> str:
        """The elements without the root, for documents that get more elements on the way out."""
        return self.LAYOUT.inner_xml(self)

    def to_body(self, most: int) -> str | LongText:
        """As `to_xml`, with lists of more than `most` entries in pieces."""
        pieces = self.LAYOUT.pieces(self, most)
        if pieces is None:
            return self.to_xml()
        return LongText([f"<{self.ROOT}>", *pieces, f"</{self.ROOT}>"])

    @classmethod
    def from_body(cls, body: str | LongText) -> Self:
        """As `from_xml`; of what is in pieces, the long lists need not be looked for in a text."""
        if isinstance(body, str):
            return cls.from_xml(body)
        value = cls.from_xml(body.head)
        cls.LAYOUT.fill(value, {found.name: found for found in body.lists})
        return value

    @classmethod
    def from_xml(cls, text: str) -> Self:
        """Raises DocumentError when the text is not a document of this kind."""
        try:
            return cls.from_element(ElementTree.fromstring(text))  # noqa: S314 - ours
        except (ElementTree.ParseError, TypeError, ValueError, LookupError) as error:
            raise DocumentError(f"not a {cls.ROOT} document: {error}") from error

    @classmethod
    def from_element(cls, element: Element) -> Self:
        if element.tag != cls.ROOT:
            raise DocumentError(f"expected <{cls.ROOT}>, found <{element.tag}>")
        children: dict[str, list[Element]] = {}
        for child in element:
            children.setdefault(child.tag, []).append(child)
        none: list[Element] = []
        return cls(**{name: codec.read(children.get(tag, none)) for name, tag, codec in cls.FIELDS})


D = TypeVar("D", bound=type[Document])


def document(root: str, **tags: str) -> Callable[[D], D]:
    """Makes a dataclass of annotated fields a document; `tags` names elements that differ from the field."""

    def decorate(cls: D) -> D:
        fields: dict[str, tuple[str, str, Codec[Any]]] = {}
        for base in reversed(cls.__mro__):
            hints = get_type_hints(base, include_extras=True)
            for name in inspect.get_annotations(base):
                metadata = getattr(hints[name], "__metadata__", ())
                codecs = [item for item in metadata if isinstance(item, Codec)]
                if codecs:
                    # A field that a class declares anew stands where it is declared last.
                    fields.pop(name, None)
                    fields[name] = (name, tags.get(name, name.upper()), codecs[0])
        cls.ROOT = root
        cls.FIELDS = tuple(fields.values())
        cls.LAYOUT = Layout(cls.FIELDS)
        return cls

    return decorate


ND = TypeVar("ND", bound=Document)


class Nested(Codec[ND]):
    """A field that is itself a document; an absent one is `default()`."""

    def __init__(self, kind: type[ND], default: Callable[[], ND]) -> None:
        self._kind = kind
        self._default = default

    def write(self, tag: str, value: ND) -> str:  # noqa: ARG002 - the nested document knows its own root
        return value.to_xml()

    def read(self, elements: list[Element]) -> ND:
        return self._kind.from_element(elements[0]) if elements else self._default()


class _Templates(Codec[list[Template]]):
    def write(self, tag: str, value: list[Template]) -> str:
        return "".join(item.to_xml(tag) for item in value)

    def read(self, elements: list[Element]) -> list[Template]:
        return [Template.from_element(element) for element in elements]


RepeatedAttributes = Annotated[list[Template], _Templates()]


def new_ids() -> Any:
    """A dataclass default: no ids yet."""
    return field(default_factory=Ids)


def new_template() -> Any:
    """A dataclass default: no attributes yet."""
    return field(default_factory=Template)
