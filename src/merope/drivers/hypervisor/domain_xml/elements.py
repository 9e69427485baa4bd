"""Small helpers over ElementTree that the parts of a domain share."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.drivers.errors import DriverError

ONE_NAMESPACE = "http://opennebula.org/xmlns/libvirt/1.0"
NAMESPACES = {
    "one": ONE_NAMESPACE,
    "qemu": "http://libvirt.org/schemas/domain/qemu/1.0",
    "lxc": "http://libvirt.org/schemas/domain/lxc/1.0",
}
for _prefix, _uri in NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _uri)


def add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """A new child. Attributes with an empty value are left out; a trailing `_` of a name is dropped."""
    child = ElementTree.SubElement(parent, tag)
    for name, value in attributes.items():
        if value:
            child.set(name.rstrip("_"), value)
    child.text = text
    return child


def parse_fragment(text: str, what: str) -> list[Element]:
    """The elements written in `text`; DriverError naming `what` when they are not well-formed.

    The usual prefixes of libvirt are known. A document type, and with it every entity of one's own, cannot
    stand inside an element, so there is nothing to expand.
    """
    prefixes = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    try:
        root = ElementTree.fromstring(f"<domain {prefixes}>{text}</domain>")  # noqa: S314 - no entities, see above
    except ElementTree.ParseError as error:
        line, column = error.position
        raise DriverError(
            f"{what} is not well-formed XML: {error.msg} (line {line}, column {column})"
        ) from error
    if (root.text or "").strip() or any((child.tail or "").strip() for child in root):
        raise DriverError(f"{what} has text outside of its elements")
    return list(root)


def merge_into(domain: Element, extra: list[Element]) -> None:
    """Adds elements to a domain. One that is there already takes attributes, text and children."""
    for element in extra:
        there = domain.find(element.tag)
        if there is None:
            domain.append(element)
            continue
        there.attrib.update(element.attrib)
        if (element.text or "").strip():
            there.text = element.text
        there.extend(element)
