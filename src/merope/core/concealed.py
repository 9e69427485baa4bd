"""Documents with their encrypted attributes decrypted, for administrators who ask for them."""

from merope.core import views
from merope.core.transaction import Transaction
from merope.model import secret_attributes
from merope.model.document import Document
from merope.model.template import Template


def shown(tx: Transaction, kind: type[Document], oid: int, *, decrypt: bool) -> bytes:
    """The document of `one.*.info`. `decrypt` counts for administrators, as in 5.12."""
    document = views.info(tx, kind, oid)
    return opened(tx, kind, oid, document) if decrypt else document


def opened(tx: Transaction, kind: type[Document], oid: int, document: bytes) -> bytes:
    """A document of the object as it goes out, decrypted where the caller may see that."""
    if not tx.caller.is_admin:
        return document
    stored = tx.get(kind, oid)
    if not secret_attributes.is_concealed(stored, tx.settings):
        return document
    plain = kind.from_xml(stored.to_xml())
    secret_attributes.reveal(plain, tx.settings)
    for before, after in _parts(stored, plain):
        document = document.replace(views.wire(before), views.wire(after))
    return document


def _parts(stored: Document, plain: Document) -> list[tuple[str, str]]:
    """Attributes that differ, as they are written before and after."""
    pairs: list[tuple[str, str]] = []
    old: Template = getattr(stored, "template")  # noqa: B009 - every kind that has secrets has one
    new: Template = getattr(plain, "template")  # noqa: B009 - as above
    pairs += [
        (Template([before]).to_xml("T")[3:-4], Template([after]).to_xml("T")[3:-4])
        for before, after in zip(old.items(), new.items(), strict=True)
        if before != after
    ]
    for before, after in zip(getattr(stored, "ar_pool", ()), getattr(plain, "ar_pool", ()), strict=True):
        pairs += [
            (
                f"<{name}><![CDATA[{value}]]></{name}>",
                f"<{name}><![CDATA[{after.attributes[name]}]]></{name}>",
            )
            for name, value in before.attributes.items()
            if after.attributes[name] != value
        ]
    return pairs
