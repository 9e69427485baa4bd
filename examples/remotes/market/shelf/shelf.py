"""A marketplace that is a directory (PUBLIC_DIR) which something else serves at BASE_URL.

Every action is this file under another name. It gets MARKET_DRIVER_ACTION_DATA in base64 and the app's id.
"""

import base64
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


class Request:
    def __init__(self, data, number):
        self.root = ElementTree.fromstring(base64.b64decode(data))
        template = self.root.find("MARKETPLACE/TEMPLATE")
        self.directory = Path(template.findtext("PUBLIC_DIR"))
        self.url = f"{template.findtext('BASE_URL').rstrip('/')}/app-{number}"
        self.file = self.directory / f"app-{number}"


def take(request):
    """What is offered: its place and checksum are in the data."""
    part = request.file.with_suffix(".part")
    shutil.copyfile(request.root.findtext("IMPORT_SOURCE"), part)
    part.rename(request.file)
    print(f'SOURCE = "{request.url}"')
    for name in ("MD5", "SIZE", "FORMAT"):
        print(f'{name} = "{request.root.findtext(name)}"')


def delete(request):
    request.file.unlink(missing_ok=True)


def monitor(request):
    usage = shutil.disk_usage(request.directory)
    for name in ("total", "used", "free"):
        print(f'{name.upper()}_MB = "{getattr(usage, name) // 1024 // 1024}"')


if __name__ == "__main__":
    sys.exit("run import, delete or monitor")
