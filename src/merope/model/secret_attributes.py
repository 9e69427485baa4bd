"""Attributes that are stored encrypted: which they are, and the cipher of 5.12.

An encrypted value is base64 of AES-256-CBC under the first 32 characters of the cloud's key, with a zero IV
(spec templates.yaml `encryption`). It keeps values out of backups and of documents that people pass on; who
can read the key can read them. Without the package `cryptography` values are stored as they are.
"""

import base64
import binascii
from collections.abc import Iterator, MutableMapping
from functools import cache
from typing import Any, Protocol

from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.host import Host
from merope.model.settings import Settings
from merope.model.template import Template
from merope.model.vm import VM
from merope.model.vm_template import VmTemplate
from merope.model.vnet import VirtualNetwork

_KEY_LENGTH = 32
_BLOCK = 16

#: Kind → the setting that lists its attributes: A, or A/B for key B of the vectors A.
_LISTS: dict[type[Document], str] = {
    Host: "host_encrypted_attr",
    Cluster: "cluster_encrypted_attr",
    Datastore: "datastore_encrypted_attr",
    VirtualNetwork: "vnet_encrypted_attr",
    VM: "vm_encrypted_attr",
    VmTemplate: "vm_encrypted_attr",
}


#: What is stored encrypted whatever the lists say, which are 5.12's and don't know of it.
_ALWAYS: dict[type[Document], tuple[str, ...]] = {
    Host: ("FENCING/PASSWORD",),
    Cluster: ("FENCING/PASSWORD",),
}


class _Change(Protocol):
    def __call__(self, value: str, key: str, /) -> str: ...


def is_available() -> bool:
    """Whether values can be encrypted here."""
    return _library() is not None


@cache
def _library() -> Any:
    try:
        from cryptography.hazmat.primitives import ciphers, padding
    except ImportError:
        return None
    return ciphers, padding


def encrypted(value: str, key: str) -> str:
    """The value as it is stored; one that is stored so already stays, and so does an empty one."""
    library = _library()
    if library is None or not value or _read(value, key) is not None:
        return value
    ciphers, padding = library
    padder = padding.PKCS7(_BLOCK * 8).padder()
    data = padder.update(value.encode()) + padder.finalize()
    encryptor = _cipher(ciphers, key).encryptor()
    return base64.b64encode(encryptor.update(data) + encryptor.finalize()).decode()


def decrypted(value: str, key: str) -> str:
    """The value as it was meant; one that is not encrypted stays."""
    plain = _read(value, key)
    return value if plain is None else plain


def _cipher(ciphers: Any, key: str) -> Any:
    secret = key.encode()[:_KEY_LENGTH].ljust(_KEY_LENGTH, b"\0")
    return ciphers.Cipher(ciphers.algorithms.AES(secret), ciphers.modes.CBC(bytes(_BLOCK)))


def _read(value: str, key: str) -> str | None:
    """The text of an encrypted value, None when it is none."""
    library = _library()
    if library is None or not value or len(value) % 4:
        return None
    ciphers, padding = library
    try:
        data = base64.b64decode(value, validate=True)
        if len(data) % _BLOCK:
            return None
        decryptor = _cipher(ciphers, key).decryptor()
        unpadder = padding.PKCS7(_BLOCK * 8).unpadder()
        plain = unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
        return str(plain.decode())
    except (binascii.Error, ValueError):
        return None


def conceal(value: Document, settings: Settings) -> None:
    """Encrypts what is to be stored encrypted of an object, in place."""
    if settings.one_key:
        _change(value, settings, encrypted, settings.one_key)


def reveal(value: Document, settings: Settings) -> bool:
    """Decrypts it, in place, in an object that nobody else holds; False where there is nothing to decrypt."""
    return bool(settings.one_key) and _change(value, settings, decrypted, settings.one_key or "")


def is_concealed(value: Document, settings: Settings) -> bool:
    """Whether the object has attributes that are stored encrypted."""
    entries = _entries(value, settings)
    return bool(settings.one_key) and any(True for _ in _places(value, entries))


def _change(value: Document, settings: Settings, change: _Change, key: str) -> bool:
    entries = _entries(value, settings)
    found = False
    for template, name in _places(value, entries):
        if isinstance(template, Template):
            for old in template.remove(name):
                template.add(name, change(old, key) if isinstance(old, str) else old)
        else:
            template[name] = change(template[name], key)
        found = True
    return found


def _entries(value: Document, settings: Settings) -> tuple[str, ...]:
    listed: tuple[str, ...] = getattr(settings, _LISTS.get(type(value), ""), ())
    return (*listed, *_ALWAYS.get(type(value), ()))


def _places(
    value: Document, entries: tuple[str, ...]
) -> Iterator[tuple[Template | MutableMapping[str, str], str]]:
    """Where the attributes of the list are: a template or a vector, and the name in it."""
    template: Template = getattr(value, "template")  # noqa: B009 - every kind of the table has one
    for entry in entries:
        name, _, key = entry.partition("/")
        if not key and name in template:
            yield template, name
        vectors = template.vectors(name) if key else []
        if isinstance(value, VirtualNetwork) and name == "AR":
            vectors = [*vectors, *(ranged.attributes for ranged in value.ar_pool)]
        for vector in vectors:
            if vector.get(key):
                yield vector, key
