"""How long a command takes from its start to its end: `onevm --version` and `onevm list`.

Without --endpoint the list is answered by a server of this process with --vms machines, so that what is
measured is the command and not a cloud.  Prints medians in milliseconds; --json for machines.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

_VM = (
    "<VM><ID>{0}</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME><GNAME>oneadmin</GNAME><NAME>web-{0}</NAME>"
    "<LAST_POLL>0</LAST_POLL><STATE>3</STATE><LCM_STATE>3</LCM_STATE><RESCHED>0</RESCHED><STIME>1795226171</STIME>"
    "<ETIME>0</ETIME><DEPLOY_ID>one-{0}</DEPLOY_ID><TEMPLATE><CPU>0.5</CPU><MEMORY>256</MEMORY>"
    "<DISK><DISK_ID><![CDATA[0]]></DISK_ID><DATASTORE><![CDATA[default]]></DATASTORE><IMAGE><![CDATA[disk]]></IMAGE>"
    "<SIZE><![CDATA[64]]></SIZE></DISK><NIC><IP><![CDATA[10.1.0.13]]></IP><MAC><![CDATA[02:00:0a:01:00:0d]]></MAC>"
    "<NETWORK><![CDATA[private]]></NETWORK></NIC></TEMPLATE><MONITORING/><USER_TEMPLATE/><HISTORY_RECORDS><HISTORY>"
    "<OID>{0}</OID><SEQ>0</SEQ><HOSTNAME><![CDATA[node1]]></HOSTNAME><HID>1</HID><CID>0</CID></HISTORY>"
    "</HISTORY_RECORDS></VM>"
)


def answer(vms: int) -> bytes:
    """The HTTP response to one.vmpool.info of so many machines."""
    pool = f"<VM_POOL>{''.join(_VM.format(i) for i in reversed(range(vms)))}</VM_POOL>"
    text = pool.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = (
        "<?xml version='1.0'?><methodResponse><params><param><value><array><data>"
        f"<value><boolean>1</boolean></value><value><string>{text}</string></value><value><i4>0</i4></value></data></array></value></param></params>"
        "</methodResponse>"
    ).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def serve(listener: socket.socket, response: bytes) -> None:
    """Answer every connection's first request; ends when the listener is shut down."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(response)


def milliseconds(words: list[str], environ: dict[str, str]) -> float:
    # What a console script does, without depending on one being installed.
    code = f"import sys; from merope.cli.main import {words[0]}; sys.exit({words[0]}())"
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *words[1:]], env=environ, stdout=subprocess.DEVNULL, check=True
    )
    return (time.perf_counter() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", help="a cloud to list (credentials as the commands find them)")
    parser.add_argument("--vms", type=int, default=100, help="machines of the own server (default 100)")
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    environ = dict(os.environ)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if arguments.endpoint:
            environ["ONE_XMLRPC"] = arguments.endpoint
        else:
            port = listener.getsockname()[1]
            environ |= {"ONE_XMLRPC": f"http://127.0.0.1:{port}/RPC2", "ONE_AUTH": "bench:bench"}
            threading.Thread(target=serve, args=(listener, answer(arguments.vms)), daemon=True).start()
        rows = {"python -c pass": [baseline() for _ in range(arguments.runs)]}
        for line in ("onevm --version", "onevm list"):
            rows[line] = [milliseconds(line.split(), environ) for _ in range(arguments.runs)]
        listener.shutdown(socket.SHUT_RDWR)
    medians = {line: round(statistics.median(times), 1) for line, times in rows.items()}
    if arguments.json:
        print(json.dumps(medians))
        return
    for line, median in medians.items():
        print(f"{line:<20} {median:7.1f} ms")


def baseline() -> float:
    """The interpreter alone, for comparison."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
