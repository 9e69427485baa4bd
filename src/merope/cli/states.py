"""The words in STAT columns, by the numbers of the documents (spec states.yaml `short`)."""

VM = ("init", "pend", "hold", "actv", "stop", "susp", "done", "fail", "poff", "unde", "clon", "fail")

LCM = (
    "",
    "prol",
    "boot",
    "runn",
    "migr",
    "save",
    "save",
    "save",
    "migr",
    "prol",
    "epil",
    "epil",
    "shut",
    "shut",
    "fail",
    "clea",
    "unkn",
    "hotp",
    "shut",
    "boot",
    "boot",
    "boot",
    "boot",
    "clea",
    "snap",
    "hotp",
    "hotp",
    "hotp",
    "hotp",
    "shut",
    "epil",
    "prol",
    "boot",
    "hotp",
    "hotp",
    "boot",
    "fail",
    "fail",
    "fail",
    "fail",
    "fail",
    "fail",
    "fail",
    "migr",
    "fail",
    "migr",
    "fail",
    "fail",
    "fail",
    "fail",
    "fail",
    "snap",
    "snap",
    "snap",
    "snap",
    "snap",
    "snap",
    "snap",
    "snap",
    "snap",
    "migr",
    "fail",
    "drsz",
    "drsz",
    "drsz",
    "hotp",
)

IMAGE = ("init", "rdy", "used", "disa", "lock", "err", "clon", "dele", "used", "lock", "lock")
IMAGE_TYPE = ("OS", "CD", "DB", "KL", "RD", "CX")
HOST = ("init", "update", "on", "err", "dsbl", "retry", "init", "dsbl", "off")
DATASTORE = ("on", "off")
DATASTORE_TYPE = ("img", "sys", "fil")
APP = ("ini", "rdy", "lck", "err", "dis")
APP_TYPE = ("unk", "img", "tpl", "srv")

ACTIVE = 3


def word(words: tuple[str, ...], number: str | None) -> str:
    """The word of a number, the number itself when it is none that 5.12 has."""
    text = number or ""
    return words[int(text)] if text.isdecimal() and int(text) < len(words) else text


def virtual_machine(state: str | None, lcm_state: str | None) -> str:
    """An active machine shows its LCM state."""
    if state == str(ACTIVE) and lcm_state != "0":
        return word(LCM, lcm_state)
    return word(VM, state)
