"""HTTP for the services: who asks, refusals, /health, /metrics, TLS, an orderly end."""

import asyncio
import json
import logging
import resource
import signal
import ssl
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from merope.client.errors import ClientError, ConnectionFailed, OneError
from merope.model.errors import Code
from merope.services.connections import Census, Watched

log = logging.getLogger("merope.web")

#: Bytes of a request's body.
MAX_BODY = 1024 * 1024
#: Connections of one address, where nothing else is said.
MAX_CONNECTIONS = 1000
_STATUS = {
    Code.AUTHENTICATION: 401,
    Code.AUTHORIZATION: 403,
    Code.NO_EXISTS: 404,
    Code.LOCKED: 403,
    Code.INTERNAL: 500,
}
LEVELS = {0: logging.ERROR, 1: logging.WARNING, 2: logging.INFO, 3: logging.DEBUG}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Health = Callable[[], str]
Metrics = Callable[[], Iterator[str]]


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An answer that is no success; the sentence is for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def answer(value: Any, status: int = 200) -> web.Response:
    return web.json_response(value, status=status, dumps=_dumps)


def _dumps(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def refusal_of(error: Exception) -> Refusal:
    """What a client is told of an error."""
    if isinstance(error, OneError):
        return Refusal(_STATUS.get(Code(error.code), 400) if error.code in set(Code) else 500, error.message)
    if isinstance(error, ConnectionFailed):
        return Refusal(503, "The core does not answer; try again later.")
    return Refusal(getattr(error, "status", 400), str(error))


class Counted:
    """What is counted of requests, for /metrics."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds = 0.0

    def lines(self) -> Iterator[str]:
        name = f"merope_{self.service}"
        yield f"# TYPE {name}_requests_total counter"
        for (method, status), count in sorted(self.requests.items()):
            yield f'{name}_requests_total{{method="{method}",status="{status}"}} {count}'
        yield f"# TYPE {name}_request_seconds_total counter"
        yield f"{name}_request_seconds_total {self.seconds:.6f}"


def application(
    counted: Counted,
    health: Health,
    metrics: Metrics,
    errors: tuple[type[Exception], ...] = (),
    max_body: int = MAX_BODY,
) -> web.Application:
    """`health` gives a reason why it is not well, "" for none; `errors` are refusals of the service's own."""

    known: tuple[type[Exception], ...] = (ClientError, *errors)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = _refused(refusal)
        except known as error:
            response = _refused(refusal_of(error))
        except web.HTTPException as error:
            response = _refused(Refusal(error.status, error.reason))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s %s failed by a fault of ours", request.method, request.path)
            response = _refused(Refusal(500, "Internal error; the log of the server says more."))
        seconds = time.perf_counter() - began
        counted.seconds += seconds
        counted.requests[request.method, response.status] += 1
        # No query and no headers: they may have what others must not read.
        log.log(
            logging.INFO if response.status >= 400 else logging.DEBUG,
            "%s %s from %s: %d in %.1f ms",
            request.method, request.path, request.remote, response.status, 1000 * seconds,
        )  # fmt: skip
        return response

    app = web.Application(middlewares=[guarded], client_max_size=max_body)

    async def show_health(_: web.Request) -> web.Response:
        trouble = health()
        return web.Response(text=(trouble or "OK") + "\n", status=503 if trouble else 200)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(text="\n".join([*counted.lines(), *metrics()]) + "\n")

    app.router.add_get("/health", show_health)
    app.router.add_get("/metrics", show_metrics)
    return app


def _refused(refusal: Refusal) -> web.Response:
    response = answer({"error": {"message": refusal.message}}, refusal.status)
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="OpenNebula"'
    return response


def session_of(request: web.Request) -> str:
    """The session that HTTP basic authentication gives: "user:password". Raises Refusal 401."""
    scheme, _, coded = request.headers.get("Authorization", "").partition(" ")
    try:
        session = b64decode(coded, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        session = ""
    if ":" not in session:
        raise Refusal(401, "User couldn't be authenticated: give a user and a password (HTTP basic).")
    return session


async def json_body(request: web.Request) -> Any:
    """Raises Refusal 400."""
    try:
        return json.loads(await request.text())
    except web.HTTPException:
        raise
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON: {error}") from error


def tls(certificate: str, key: str) -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key or None)
    return context


async def serve(
    app: web.Application,
    host: str,
    port: int,
    secure: ssl.SSLContext | None = None,
    per_address: int = MAX_CONNECTIONS,
) -> None:
    """Until the process is asked to end. Raises OSError where the port is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _allow_files()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    handlers, census = runner.server, Census(per_address)
    assert handlers is not None
    try:
        server = await loop.create_server(lambda: Watched(census, handlers), host, port, ssl=secure)
        log.info("serving at %s:%d", host, port)
        await stop.wait()
        log.info("stopping")
        server.close()
    finally:
        await runner.cleanup()


def _allow_files() -> None:
    """As many connections as the system lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
