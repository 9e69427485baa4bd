"""The API's error codes and the one exception that carries them."""

from enum import IntEnum


class Code(IntEnum):
    """Numeric codes of the third element of a response (OpenNebula 5.12 XML-RPC)."""

    SUCCESS = 0
    AUTHENTICATION = 256
    AUTHORIZATION = 512
    NO_EXISTS = 1024
    ACTION = 2048
    XML_RPC_API = 4096
    INTERNAL = 8192
    ALLOCATE = 16384
    LOCKED = 32768
    REPLICATION = 65536


class ApiError(Exception):
    """A request that is refused: nothing has changed.

    `message` is a sentence for the caller, without the "[method] " prefix that the door adds;
    `oid` is the id of the offending object, -1 when there is none.
    """

    def __init__(self, code: Code, message: str, oid: int = -1) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.oid = oid
