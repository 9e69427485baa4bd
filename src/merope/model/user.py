"""Users."""

from dataclasses import dataclass, field
from typing import Annotated
from xml.etree.ElementTree import Element

from merope.model.document import (
    Attributes,
    Cdata,
    Codec,
    Document,
    IdSet,
    Integer,
    Text,
    document,
    escape,
    new_template,
)


@dataclass(frozen=True, slots=True)
class LoginToken:
    """A login token: `expires` is an epoch or -1 for never; `egid` the one group it acts for, -1 for all."""

    token: str
    expires: int
    egid: int


class _LoginTokens(Codec[list[LoginToken]]):
    def write(self, tag: str, value: list[LoginToken]) -> str:
        return "".join(
            f"<{tag}><TOKEN>{escape(item.token)}</TOKEN><EXPIRATION_TIME>{item.expires}</EXPIRATION_TIME>"
            f"<EGID>{item.egid}</EGID></{tag}>"
            for item in value
        )

    def read(self, elements: list[Element]) -> list[LoginToken]:
        return [
            LoginToken(
                element.findtext("TOKEN") or "",
                int(element.findtext("EXPIRATION_TIME") or 0),
                int(element.findtext("EGID") or -1),
            )
            for element in elements
        ]


LoginTokens = Annotated[list[LoginToken], _LoginTokens()]


@document("USER", login_tokens="LOGIN_TOKEN")
@dataclass(slots=True)
class User(Document):
    """`password` is the stored form (see `model.passwords`), or what an external driver keeps there."""

    id: Integer
    gid: Integer
    groups: IdSet
    gname: Text
    name: Text
    password: Cdata
    auth_driver: Cdata
    enabled: Integer = 1
    login_tokens: LoginTokens = field(default_factory=list)
    template: Attributes = new_template()
