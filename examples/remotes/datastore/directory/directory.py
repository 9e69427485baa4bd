"""A datastore that is a directory (BASE_PATH): an image is a file in it, named by the image's id.

Every action is this file under another name. It gets DS_DRIVER_ACTION_DATA in base64 and a number.
"""

import base64
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

MB = 1024 * 1024


def fail(message):
    sys.stderr.write(f"ERROR MESSAGE --8<------\n{message}\nERROR MESSAGE ------>8--\n")
    sys.exit(1)


def format_of(path):
    with open(path, "rb") as stream:
        return "qcow2" if stream.read(4) == b"QFI\xfb" else "raw"


class Request:
    def __init__(self, data):
        root = ElementTree.fromstring(base64.b64decode(data))
        self.image = root.find("IMAGE")
        self.base = Path(root.findtext("DATASTORE/BASE_PATH"))
        if self.image is not None:
            self.file = self.base / f"image-{self.image.findtext('ID')}"

    def get(self, name):
        return self.image.findtext(name) or ""


def take(path, target):
    """Whole, or not at all."""
    if not path.is_file():
        fail(f"{path} is not there")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    subprocess.run(["cp", "--sparse=always", path, part], check=True)
    part.rename(target)


def cp(request):
    take(Path(request.get("PATH")), request.file)
    print(request.file, format_of(request.file))


def clone(request):
    """PATH is the SOURCE of the image that is cloned."""
    cp(request)


def mkfs(request):
    kind = request.get("FSTYPE") or "raw"
    request.base.mkdir(parents=True, exist_ok=True)
    part = request.file.with_suffix(".part")
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, part, f"{request.get('SIZE')}M"], check=True)
    part.rename(request.file)
    print(request.file, kind)


def rm(request):
    source = Path(request.get("SOURCE"))
    if source.parent != request.base:
        fail(f"{source} is not in {request.base}")
    source.unlink(missing_ok=True)
    shutil.rmtree(f"{source}.snap", ignore_errors=True)


def stat(request):
    path = Path(request.get("PATH"))
    if not path.is_file():
        fail(f"{path} is not there")
    print(-(-path.stat().st_size // MB))


def monitor(request):
    request.base.mkdir(parents=True, exist_ok=True)
    usage = shutil.disk_usage(request.base)
    for name in ("total", "used", "free"):
        print(f'{name.upper()}_MB = "{getattr(usage, name) // MB}"')


def export(request):
    source = Path(request.get("SOURCE"))
    print(f'SOURCE = "{source}"\nFORMAT = "{format_of(source)}"\nSIZE = "{request.get("SIZE")}"')


def snapshot(request):
    return Path(f"{request.get('SOURCE')}.snap") / request.get("TARGET_SNAPSHOT")


def snap_revert(request):
    take(snapshot(request), Path(request.get("SOURCE")))


def snap_delete(request):
    snapshot(request).unlink(missing_ok=True)


def snap_flatten(request):
    snap_revert(request)
    shutil.rmtree(snapshot(request).parent)


ACTIONS = {
    each.__name__: each for each in (cp, clone, mkfs, rm, stat, monitor, export, snap_revert, snap_delete)
}
ACTIONS["snap_flatten"] = snap_flatten
