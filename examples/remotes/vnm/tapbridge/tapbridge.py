"""A network that makes the tap of each NIC on a bridge that is there, for hypervisors that want one ready.

Every action is this file under another name. It gets the VM's document in base64 on standard input.
"""

import base64
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

NAME = "tapbridge"


def fail(message):
    sys.stderr.write(f"ERROR MESSAGE --8<------\n{message}\nERROR MESSAGE ------>8--\n")
    sys.exit(1)


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        fail(f"ip {' '.join(words)}: {done.stderr.strip()}")


def exists(name):
    return subprocess.run(["ip", "link", "show", "dev", name], capture_output=True).returncode == 0


def nics():
    """(target, bridge) of the VM's NICs that are in networks of this driver."""
    vm = ElementTree.fromstring(base64.b64decode(sys.stdin.read()))
    for nic in vm.findall("TEMPLATE/NIC"):
        if nic.findtext("VN_MAD") == NAME:
            yield nic.findtext("TARGET"), nic.findtext("BRIDGE")


def pre():
    for target, bridge in nics():
        if not exists(bridge):
            fail(f"there is no bridge {bridge} on this host")
        if not exists(target):
            ip("tuntap", "add", "dev", target, "mode", "tap")
        ip("link", "set", "dev", target, "master", bridge, "up")


def clean():
    for target, _ in nics():
        if exists(target):
            ip("link", "delete", "dev", target)
