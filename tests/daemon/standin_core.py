"""A stand-in for the core: answers /health and one.system.version on its port; ends as it is told.

It reads the file `behaviour` of its home: "crash" and "misconfigured" end it at once, "stubborn" makes it
ignore SIGTERM, "worker" gives it a child process, whose pid it writes into `worker`.
"""

import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

BODY = b"<methodResponse><params/></methodResponse>"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._reply(b"ok\n")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._reply(BODY)

    def _reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    home = Path(options["--home"])
    chosen = home / "behaviour"
    behaviour = chosen.read_text() if chosen.exists() else ""
    print("stand-in", *sys.argv[1:], file=sys.stderr, flush=True)
    if behaviour == "misconfigured":
        print("PORT must be a number", file=sys.stderr, flush=True)
        sys.exit(78)
    if behaviour == "crash":
        print("the database is damaged", file=sys.stderr, flush=True)
        sys.exit(1)
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if behaviour == "worker":
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        (home / "worker").write_text(str(worker.pid))
    if behaviour == "deaf":
        time.sleep(300)
    HTTPServer((options["--listen"], int(options["--port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
