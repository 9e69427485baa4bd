"""Readers of what a person types: a word becomes a value, or ValueError says what was expected."""

import re

#: So that a slip of the finger (0..99999999) neither fills the memory nor runs for a day.
MAX_IDS = 100_000

_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)
_UNITS = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024 * 1024}
_OCTET = re.compile(r"[0-7]{3}")


def natural(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"a number is expected, not '{text}'")
    return int(text)


def integer(text: str) -> int:
    return -natural(text[1:]) if text.startswith("-") else natural(text)


def positive(text: str) -> int:
    if not (value := natural(text)):
        raise ValueError("a number above 0 is expected")
    return value


def decimal(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"a number is expected, not '{text}'")
    return value


def seconds(text: str) -> float:
    value = decimal(text)
    if value <= 0:
        raise ValueError("a number of seconds above 0 is expected")
    return value


def megabytes(text: str) -> int:
    """A size in MB: a bare number is MB, else with K, M, G or T (`128M`, `1.5g`)."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"a size such as 512, 128M or 2G is expected, not '{text}'")
    size = float(match[1]) * _UNITS[match[2].upper()]
    if size != int(size):
        raise ValueError(f"'{text}' is not a whole number of megabytes")
    return int(size)


def octet(text: str) -> list[int]:
    """`640` as nine permission bits: owner, group, other × use, manage, admin."""
    if not _OCTET.fullmatch(text):
        raise ValueError(f"three octal digits are expected (640: owner use+manage, group use), not '{text}'")
    return [int(digit) >> bit & 1 for digit in text for bit in (2, 1, 0)]


def id_or_name(text: str) -> int | str:
    """Digits are an id, anything else a name."""
    if not text:
        raise ValueError("an id or a name is expected")
    return int(text) if text.isascii() and text.isdecimal() else text


def id_list(text: str) -> list[int | str]:
    """`0..3`, `1,2`, `web,7`: ids in the order given; names are looked up later."""
    result: list[int | str] = []
    for item in text.split(","):
        if match := _RANGE.fullmatch(item):
            first, last = int(match[1]), int(match[2])
            if first > last:
                raise ValueError(f"the range {item} is empty")
            if last - first >= MAX_IDS:
                raise ValueError(f"the range {item} has more than {MAX_IDS} ids")
            result.extend(range(first, last + 1))
        else:
            result.append(id_or_name(item))
    return result


def words(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def upper_list(text: str) -> list[str]:
    return [part.strip().upper() for part in words(text)]


def operator(text: str) -> str:
    if text.upper() not in ("AND", "OR"):
        raise ValueError("AND or OR is expected")
    return text.upper()


def sizes(text: str) -> dict[str, int]:
    """`NAME=20,HOST=30`."""
    return {name: positive(size) for name, size in _pairs(text, "")}


def shares(text: str) -> dict[str, float]:
    """`NAME=0.4,GROUP=0.6` or `NAME,GROUP`: how the free width is divided."""
    return {name: seconds(share) for name, share in _pairs(text, "1")}


def _pairs(text: str, default: str) -> list[tuple[str, str]]:
    pairs = []
    for item in words(text):
        name, _, value = item.partition("=")
        pairs.append((name.strip().upper(), value or default))
    return pairs
