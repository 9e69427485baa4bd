"""What is true of a host, told as JSON: run by the host's own Python (3.6 or newer), with nothing of ours.

`python3 - QUESTIONS` with this file on standard input; QUESTIONS is JSON: the programs and modules to look
for, the datastore location, and the mark that the front-end has put there.
"""

import importlib
import json
import os
import shutil
import socket
import sys
import time
from typing import Any


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
        "libvirt": libvirt_says(),
        "hostname": socket.gethostname(),
        "resolves": resolves(),
        "time": time.time(),
        "kvm": os.access("/dev/kvm", os.R_OK | os.W_OK),
        "location": os.path.isdir(location),
        "shared": os.path.exists(os.path.join(location, questions["mark"])),
    }


if __name__ == "__main__":
    json.dump(facts(json.loads(sys.argv[1])), sys.stdout)
