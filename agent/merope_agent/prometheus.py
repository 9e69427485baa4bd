"""/metrics: what the agent measured last, for a Prometheus that asks the host itself."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Iterator

from merope_agent.agent import Agent

_HOST = {
    "FREEMEMORY": ("merope_host_free_memory_kilobytes", "gauge"),
    "USEDMEMORY": ("merope_host_used_memory_kilobytes", "gauge"),
    "FREECPU": ("merope_host_free_cpu_percent", "gauge"),
    "USEDCPU": ("merope_host_used_cpu_percent", "gauge"),
    "NETRX": ("merope_host_received_bytes_total", "counter"),
    "NETTX": ("merope_host_sent_bytes_total", "counter"),
}
_VM = {
    "CPU": ("merope_vm_cpu_percent", "gauge"),
    "MEMORY": ("merope_vm_memory_kilobytes", "gauge"),
    "NETRX": ("merope_vm_received_bytes_total", "counter"),
    "NETTX": ("merope_vm_sent_bytes_total", "counter"),
    "DISKRDBYTES": ("merope_vm_disk_read_bytes_total", "counter"),
    "DISKWRBYTES": ("merope_vm_disk_written_bytes_total", "counter"),
    "DISKRDIOPS": ("merope_vm_disk_reads_total", "counter"),
    "DISKWRIOPS": ("merope_vm_disk_writes_total", "counter"),
}


def page(agent: Agent) -> str:
    """Text of Prometheus' exposition format 0.0.4; percentages are of one CPU."""
    lines = list(_families(_HOST, [("", agent.host.latest)]))
    vms = [
        (f'{{vm="{domain.vm}",domain="{_escaped(domain.name)}"}}', figures)
        for domain, figures in agent.figures.latest
    ]
    lines += _families(_VM, vms)
    return "".join(line + "\n" for line in lines)


def _families(names: dict[str, tuple[str, str]], measured: list[tuple[str, dict[str, str]]]) -> Iterator[str]:
    for name, (family, kind) in names.items():
        samples = [f"{family}{labels} {found[name]}" for labels, found in measured if name in found]
        if samples:
            yield f"# TYPE {family} {kind}"
            yield from samples


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def serve(address: str, agent: Agent) -> ThreadingHTTPServer:
    """Answers at ADDRESS:PORT from now on. Raises OSError, ValueError."""
    host, _, port = address.rpartition(":")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            body = page(agent).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
