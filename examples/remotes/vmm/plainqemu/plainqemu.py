"""A hypervisor that is one process of QEMU for each VM, spoken to by its monitor (QMP).

Every action is this file under another name; plainqemu.py has what they share. What a VM has is read from its
document: MEMORY, VCPU, DISK, NIC, GRAPHICS. PLAINQEMU_RUN is where the sockets of monitors are.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

RUN = Path(os.environ.get("PLAINQEMU_RUN", "/run/plainqemu"))
WAIT = 180.0


def fail(message):
    """Says what went wrong between the two marks by which the cloud finds it."""
    sys.stderr.write(f"ERROR MESSAGE --8<------\n{message}\nERROR MESSAGE ------>8--\nExitCode: 1\n")
    sys.exit(1)


class Monitor:
    """A connection to the monitor of a VM that runs; OSError when it does not."""

    def __init__(self, deploy_id):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(WAIT)
        self._socket.connect(str(RUN / f"{deploy_id}.qmp"))
        self._lines = self._socket.makefile("rw", encoding="utf-8")
        self._lines.readline()
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._lines.flush()
        while True:
            answer = json.loads(self._lines.readline() or '{"error": {"desc": "QEMU has ended"}}')
            if "error" in answer:
                fail(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def wait_for_end(self, seconds):
        """Whether QEMU ended within that time: then its socket is closed."""
        self._socket.settimeout(seconds)
        try:
            while self._lines.readline():
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


def monitor(deploy_id):
    """The monitor of a VM that has to run."""
    try:
        return Monitor(deploy_id)
    except OSError:
        fail(f"{deploy_id} does not run on this host")


def start(vm, system_dir, extra=()):
    """Starts QEMU for the VM, whose disks are in `system_dir`; answers its deploy id."""
    deploy_id = f"one-{vm.findtext('ID')}"
    RUN.mkdir(parents=True, exist_ok=True)
    template = vm.find("TEMPLATE")
    command = ["qemu-system-x86_64", "-name", deploy_id, "-daemonize", "-nodefaults", "-display", "none"]
    command += ["-m", template.findtext("MEMORY"), "-smp", template.findtext("VCPU") or "1"]
    command += ["-qmp", f"unix:{RUN / deploy_id}.qmp,server=on,wait=off"]
    for disk in template.findall("DISK"):
        path = system_dir / f"disk.{disk.findtext('DISK_ID')}"
        if not path.exists():
            fail(f"the disk {path} is not there")
        kind = disk.findtext("DRIVER") or "raw"
        command += ["-drive", f"file={str(path).replace(',', ',,')},format={kind},if=virtio"]
    for nic in template.findall("NIC"):
        number, mac = nic.findtext("NIC_ID"), nic.findtext("MAC")
        command += ["-netdev", f"tap,id=nic{number},ifname={nic.findtext('TARGET')},script=no,downscript=no"]
        command += ["-device", f"virtio-net-pci,netdev=nic{number},mac={mac}"]
    graphics = template.find("GRAPHICS[TYPE='VNC']")
    if graphics is not None:
        command += ["-vga", "std", "-vnc", f"127.0.0.1:{int(graphics.findtext('PORT')) - 5900}"]
    done = subprocess.run([*command, *extra], capture_output=True, text=True)
    if done.returncode:
        fail(done.stderr.strip())
    return deploy_id


def deploy(file, *_):
    """The deployment file comes on standard input and is kept where the cloud wants it."""
    text = sys.stdin.read()
    Path(file).write_text(text)
    print(start(ElementTree.fromstring(text), Path(file).parent))


def shutdown(deploy_id, *_):
    guest = monitor(deploy_id)
    guest("system_powerdown")
    if not guest.wait_for_end(WAIT):
        fail(f"{deploy_id} did not power off within {WAIT:.0f} s")


def cancel(deploy_id, *_):
    guest = monitor(deploy_id)
    guest("quit")
    guest.wait_for_end(10.0)


def reset(deploy_id, *_):
    monitor(deploy_id)("system_reset")


def save(deploy_id, checkpoint, *_):
    guest = monitor(deploy_id)
    guest("stop")
    guest("migrate", uri=f"file:{checkpoint}") if guest_knows_files(guest) else guest(
        "migrate", uri=f"exec:cat > '{checkpoint}'"
    )
    while guest("query-migrate")["status"] not in ("completed", "failed"):
        time.sleep(0.05)
    if guest("query-migrate")["status"] == "failed":
        fail(f"the memory of {deploy_id} could not be saved")
    guest("quit")
    guest.wait_for_end(10.0)


def guest_knows_files(guest):
    return guest("query-version")["qemu"]["major"] >= 8


def restore(checkpoint, _host, _deploy_id, *_):
    """The VM's document is in the data on standard input."""
    data = ElementTree.fromstring(base64.b64decode(sys.stdin.read()))
    if not Path(checkpoint).exists():
        fail(f"there is no checkpoint {checkpoint}")
    incoming = ("-incoming", f"exec:cat '{checkpoint}'")
    deploy_id = start(data.find("VM"), Path(checkpoint).parent, incoming)
    guest = monitor(deploy_id)
    while guest("query-status")["status"] == "inmigrate":
        time.sleep(0.05)
    guest("cont")
    print(deploy_id)


def states():
    """A probe of remotes/im: what each VM of ours does."""
    for path in sorted(RUN.glob("one-*.qmp")):
        deploy_id = path.stem
        try:
            paused = Monitor(deploy_id)("query-status")["status"] == "paused"
        except OSError:
            continue
        number = re.fullmatch(r"one-(\d+)", deploy_id)[1]
        state = "SUSPENDED" if paused else "RUNNING"
        print(f'VM = [ ID = "{number}", DEPLOY_ID = "{deploy_id}", STATE = "{state}" ]')


ACTIONS = {
    "deploy": deploy,
    "shutdown": shutdown,
    "cancel": cancel,
    "reboot": reset,
    "reset": reset,
    "save": save,
    "restore": restore,
}
