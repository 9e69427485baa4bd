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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
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

    def pieces(self, tag: str, value: T, most: int) -> list[str | LongList]:  # noqa: ARG002 - as above
        """As `write`; lists of more than `most` entries are pieces of their own."""
        return [self.write(tag, value)]


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

    def pieces(self, tag: str, value: set[int], most: int) -> list[str | LongList]:
        if len(value) <= most:
            return [self.write(tag, value)]
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


class Document:
    """Base of every stored object; see the module's docstring."""

    __slots__ = ()
    id: int
    name: str
    ROOT: ClassVar[str]
    FIELDS: ClassVar[tuple[tuple[str, str, Codec[Any]], ...]]
    LISTS: ClassVar[tuple[tuple[str, Codec[Any]], ...]]
    """Those of the fields that can be held in pieces."""

    def to_xml(self) -> str:
        """The document on one line, as the wire and the database have it."""
        return f"<{self.ROOT}>{self.inner_xml()}</{self.ROOT}>"

    def inner_xml(self) -> str:
        """The elements without the root, for documents that get more elements on the way out."""
        return "".join([codec.write(tag, getattr(self, name)) for name, tag, codec in self.FIELDS])

    def to_body(self, most: int) -> str | LongText:
        """As `to_xml`, with lists of more than `most` entries in pieces."""
        if all(codec.longest(getattr(self, name)) <= most for name, codec in self.LISTS):
            return self.to_xml()
        inner = (
            piece
            for name, tag, codec in self.FIELDS
            for piece in codec.pieces(tag, getattr(self, name), most)
        )
        return LongText((f"<{self.ROOT}>", *inner, f"</{self.ROOT}>"))

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
        cls.LISTS = tuple(
            (name, codec) for name, _, codec in cls.FIELDS if type(codec).longest is not Codec.longest
        )
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
