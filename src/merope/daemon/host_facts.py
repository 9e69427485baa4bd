"""What is true of a host, told as JSON: run by the host's own Python (3.6 or newer), with nothing of ours.

`python3 - QUESTIONS` with this file on standard input; QUESTIONS is JSON: the programs and modules to look
for, whether libvirt is asked, where LXD may listen, the datastore location, and the mark that the front-end
has put there.
"""

import http.client
import importlib
import json
import os
import platform
import shutil
import socket
import sys
import time
from typing import Any
from urllib.parse import quote


def has_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def libvirt_says() -> str:
    """Empty when a connection can be made."""
    try:
        libvirt = importlib.import_module("libvirt")
    except ImportError:
        return "its Python binding is not installed"
    try:
        libvirt.open("qemu:///system").close()
    except libvirt.libvirtError as error:
        return str(error)
    return ""


class LocalConnection(http.client.HTTPConnection):
    """To a socket of this machine."""

    def __init__(self, path: str) -> None:
        super().__init__("lxd", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def lxd_says(asked: "dict[str, Any]") -> "dict[str, Any]":
    """`problem` is empty when LXD answers; `pool` whether it has the storage pool."""
    sockets = asked["sockets"]
    path = next((each for each in sockets if os.path.exists(each)), sockets[0])
    try:
        server = lxd_answer(path, "/1.0")
        if server.get("type") == "error":
            return {"problem": "LXD at {}: {}".format(path, server.get("error")), "pool": False}
        pool = lxd_answer(path, "/1.0/storage-pools/" + quote(asked["pool"], safe=""))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return {"problem": f"LXD at {path}: {error}", "pool": False}
    return {"problem": "", "pool": pool.get("type") != "error"}


def lxd_answer(path: str, resource: str) -> "dict[str, Any]":
    connection = LocalConnection(path)
    try:
        connection.request("GET", resource)
        answer: dict[str, Any] = json.loads(connection.getresponse().read().decode())
        return answer
    finally:
        connection.close()


def resolves() -> bool:
    """A name that does not costs libvirt ten seconds at each start of a guest."""
    try:
        socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return False
    return True


def facts(questions: "dict[str, Any]") -> "dict[str, Any]":
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    location = questions["location"]
    return {
        "python": list(sys.version_info[:3]),
        "programs": {name: bool(shutil.which(name)) for name in questions["programs"]},
        "modules": {name: has_module(name) for name in questions["modules"]},
        "libvirt": libvirt_says() if questions["libvirt"] else "",
        "lxd": lxd_says(questions["lxd"]) if questions.get("lxd") else None,
        "root": os.geteuid() == 0,
        "kernel": platform.release(),
        "hostname": socket.gethostname(),
        "resolves": resolves(),
        "time": time.time(),
        "kvm": os.access("/dev/kvm", os.R_OK | os.W_OK),
        "location": os.path.isdir(location),
        "shared": os.path.exists(os.path.join(location, questions["mark"])),
    }


if __name__ == "__main__":
    json.dump(facts(json.loads(sys.argv[1])), sys.stdout)
