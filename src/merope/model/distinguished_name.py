"""Names of certificates as the PASSWORD of x509 users has them: /C=ES/O=One/CN=Ann\\20Lee.

It is the "oneline" form of OpenSSL 3, with the blanks written as \\20. One PASSWORD may have several, joined
by |. OpenSSL 1 left / and + within a value as they are, so that one name could be read as another.
"""

import re
from collections.abc import Iterable

#: OpenSSL's short names of the attributes that certificates are named by (RFC 5280, RFC 4519).
SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.17": "postalCode",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
}


def oneline(name: Iterable[Iterable[tuple[str, str]]]) -> str:
    """The form that OpenSSL prints: the relative names in the certificate's order, each of pairs of a dotted
    OID and a value."""
    return "".join(
        "/" + "+".join(f"{SHORT_NAMES.get(oid, oid)}={_printable(value)}" for oid, value in relative)
        for relative in name
    )


def stored(name: str) -> str:
    """A name as it is kept in a PASSWORD, which has no blanks."""
    return re.sub(r"\s", lambda match: f"\\{ord(match[0]):x}", name)


def _printable(value: str) -> str:
    data = value.encode("utf-8", "surrogatepass")
    text = "".join(chr(byte) if 0x20 <= byte <= 0x7E else f"\\x{byte:02X}" for byte in data)
    return re.sub("[/+]", lambda match: f"\\{match[0]}", text)
