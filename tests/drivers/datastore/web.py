"""A web server on a loopback port that serves what a test gives it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Web:
    """`pages` by path; a value that begins with "->" redirects. `cut` bytes are promised and not sent."""

    pages: dict[str, bytes | str] = field(default_factory=dict)
    cut: int = 0
    with_length: bool = True
    asked: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def serving() -> Iterator[Web]:
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append(dict(self.headers))
            page = web.pages.get(self.path.partition("?")[0])
            if page is None:
                self.send_error(404)
            elif isinstance(page, str):
                self.send_response(302)
                self.send_header("Location", page.removeprefix("->"))
                self.end_headers()
            else:
                self.send_response(200)
                if web.with_length:
                    self.send_header("Content-Length", str(len(page) + web.cut))
                self.end_headers()
                self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield web
        server.shutdown()
        thread.join()
