"""What owned objects share: their owner, the permission bits and the lock."""

from dataclasses import dataclass, field
from typing import Annotated, Any
from xml.etree.ElementTree import Element

from merope.model.document import Codec, Document, DocumentError, Integer, Text
from merope.model.permissions import Permissions


@dataclass(frozen=True, slots=True)
class Lock:
    """LOCK of a lockable object. `owner` is -1 for the system's own locks."""

    level: int
    owner: int
    time: int
    request: int


class _Lock(Codec[Lock | None]):
    def write(self, tag: str, value: Lock | None) -> str:
        if value is None:
            return ""
        return (
            f"<{tag}><LOCKED>{value.level}</LOCKED><OWNER>{value.owner}</OWNER>"
            f"<TIME>{value.time}</TIME><REQ_ID>{value.request}</REQ_ID></{tag}>"
        )

    def read(self, elements: list[Element]) -> Lock | None:
        if not elements:
            return None
        level, owner, time, request = (
            int(elements[0].findtext(name) or 0) for name in ("LOCKED", "OWNER", "TIME", "REQ_ID")
        )
        return Lock(level, owner, time, request)


class _Permissions(Codec[Permissions]):
    def write(self, tag: str, value: Permissions) -> str:  # noqa: ARG002 - it knows its own root
        return value.to_xml()

    def read(self, elements: list[Element]) -> Permissions:
        if not elements:
            raise DocumentError("its permissions are missing")
        return Permissions.from_element(elements[0])


OptionalLock = Annotated[Lock | None, _Lock()]
PermissionBits = Annotated[Permissions, _Permissions()]


@dataclass(slots=True)
class Owned(Document):
    """The six elements that every owned object starts with. Where PERMISSIONS stands differs by kind."""

    id: Integer
    uid: Integer
    gid: Integer
    uname: Text
    gname: Text
    name: Text
    permissions: Permissions


def new_permissions() -> Any:
    """A dataclass default: no permission at all."""
    return field(default_factory=Permissions)
