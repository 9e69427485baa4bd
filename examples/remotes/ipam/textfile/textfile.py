"""Addresses that are given out from a text file beside this one: a line for each that is free.

Every action is this file under another name. It gets IPAM_DRIVER_ACTION_DATA (AR, ADDRESS) in base64 on
standard input, and the number of its request.
"""

import base64
import fcntl
import os
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from pathlib import Path

FREE = Path(os.environ.get("TEXTFILE_ADDRESSES", Path(__file__).with_name("free.txt")))


def fail(message):
    sys.stderr.write(f"ERROR MESSAGE --8<------\n{message}\nERROR MESSAGE ------>8--\n")
    sys.exit(1)


@contextmanager
def free():
    """The free addresses, to be changed in place; nobody else changes them meanwhile."""
    with open(FREE, "r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        lines = stream.read().split()
        yield lines
        stream.seek(0)
        stream.truncate()
        stream.writelines(f"{line}\n" for line in lines)


def data():
    return ElementTree.fromstring(base64.b64decode(sys.stdin.read()))


def register_address_range():
    with free() as lines:
        if not lines:
            fail("there is no free address")
        print(f'AR = [ TYPE = "IP4", IP = "{lines[0]}", SIZE = "{len(lines)}" ]')


def unregister_address_range():
    data()


def get_address():
    if (data().findtext("ADDRESS/SIZE") or "1") != "1":
        fail("this sample gives one address at a time")
    with free() as lines:
        if not lines:
            fail("there is no free address")
        print(f'ADDRESS = [ IP = "{lines.pop(0)}", SIZE = "1" ]')


def allocate_address():
    wanted = data().findtext("ADDRESS/IP")
    with free() as lines:
        if wanted not in lines:
            fail(f"{wanted} is not free")
        lines.remove(wanted)


def free_address():
    given = data().findtext("ADDRESS/IP")
    with free() as lines:
        if given not in lines:
            lines.append(given)
