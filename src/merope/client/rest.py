"""The client of services that speak REST with JSON: one request at a time, HTTP basic authentication."""

import json
from typing import Any

from merope.client.errors import BadAnswer, ClientError, ConnectionFailed


def basic(auth: str) -> str:
    """The header of HTTP basic authentication for "user:password"."""
    from base64 import b64encode

    return f"Basic {b64encode(auth.encode()).decode()}"


class Refused(ClientError):  # noqa: N818 - the names say what happened
    """The service refused; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RestClient:
    """`auth` is "user:password" or "user:token", `timeout` in seconds.

    Calls raise Refused, ConnectionFailed or BadAnswer; all are ClientError.
    """

    def __init__(self, url: str, auth: str, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._auth = auth
        self._timeout = timeout

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of the answer, None where there is none."""
        # Not at the top: it takes longer to load than commands that only read take.
        import urllib.error
        import urllib.request

        headers = {
            "Authorization": basic(self._auth),
            "User-Agent": "merope",
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
            with urllib.request.urlopen(request, timeout=self._timeout) as reply:  # noqa: S310
                return self._read(reply.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise Refused(refusal.code, _sentence(refusal)) from refusal
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ConnectionFailed(
                self.url,
                f"cannot connect: {reason}. Does it run ('one status')? ONEFLOW_URL names another",
            ) from error

    def _read(self, body: bytes) -> Any:
        if not body.strip():
            return None
        try:
            return json.loads(body)
        except ValueError as error:
            raise BadAnswer(f"{self.url} answered with something that is not JSON.") from error


def _sentence(refusal: Any) -> str:
    body = refusal.read()
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {refusal.code}: {body[:200].decode('utf-8', 'replace').strip()}"
