"""What is beside the calls: health, metrics, and words for everything that is not a call."""

import json
from http import HTTPStatus

from merope.api.hall import Hall
from merope.api.metrics import CONTENT_TYPE
from merope.api.reply import TEXT
from merope.api.request import HttpError

Page = tuple[HTTPStatus, bytes, bytes]
"""Status, content type, body."""


def page(hall: Hall, method: bytes, target: bytes) -> Page:
    """Answer a request that is not a POST; raise `HttpError` for one that asks for nothing we have."""
    path = target.partition(b"?")[0]
    if method in (b"GET", b"HEAD"):
        if path == b"/health" and hall.settings.health:
            return _health(hall)
        if path == b"/metrics" and hall.settings.metrics:
            return HTTPStatus.OK, CONTENT_TYPE.encode("ascii"), hall.registry.render().encode()
    text = "This is an XML-RPC server: calls are sent by POST to /RPC2."
    raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, text)


def refusal(error: HttpError) -> Page:
    """Give the page of an error."""
    return error.status, TEXT, f"{error.status.value} {error.status.phrase}\n{error.text}\n".encode()


def _health(hall: Hall) -> Page:
    reason = "The server is being stopped." if hall.draining else hall.health() if hall.health else None
    answer = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
    return status, b"application/json", json.dumps(answer).encode() + b"\n"
