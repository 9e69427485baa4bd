"""What can go wrong between a client and a cloud: one class for each thing a caller may do about it."""


class ClientError(Exception):
    """Base of all: the sentence is meant for a person."""


class OneError(ClientError):
    """The cloud refused the request: nothing has changed there.

    `code` is one of `merope.model.errors.Code`, `message` begins with "[method] ", `oid` is the id of
    the offending object (-1: none).
    """

    def __init__(self, code: int, message: str, oid: int = -1) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.oid = oid


class Fault(ClientError):  # noqa: N818 - the names say what happened
    """The request itself was wrong (XML-RPC fault): -501 arguments, -503 not XML-RPC, -506 no such method."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (fault {code})")
        self.code = code
        self.message = message


class ConnectionFailed(ClientError):  # noqa: N818 - the names say what happened
    """The endpoint gave no answer.  `sent` tells whether the request may have been executed all the same."""

    def __init__(self, endpoint: str, why: str, sent: bool = False) -> None:
        super().__init__(f"{endpoint}: {why}")
        self.endpoint = endpoint
        self.why = why
        self.sent = sent


class BadAnswer(ClientError):  # noqa: N818 - the names say what happened
    """Something answered that does not speak OpenNebula's XML-RPC (a proxy, another service)."""


class NoCredentials(ClientError):  # noqa: N818 - the names say what happened
    """No user and password were found in any of the places where they are looked for."""
