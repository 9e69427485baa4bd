"""Stands in for the jailer and for Firecracker, which cannot be had where these tests run.

The jailer takes the command line of the real one and makes the same directories, but shuts nobody in:
paths are looked up below the root of the jail instead. Firecracker answers its API as published, request
by request, and boots the guest by QEMU. The driver cannot tell.
"""

import argparse
import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

from firecracker_api import GETS, MAC, FaultError, checked

VERSION = "1.7.0"
_JAIL_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_CGROUP = re.compile(r"[a-z]+\.[a-z._]+=[^=]+", re.ASCII)
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x400454CA, 2, 0x1000, 0x4000


def install(directory: Path) -> tuple[Path, Path]:
    """The programs `firecracker` and `jailer` in a directory."""
    made = []
    for name, main in (("firecracker", "firecracker"), ("jailer", "jailer")):
        path = directory / name
        here = str(Path(__file__).parent)
        path.write_text(
            f"#!{sys.executable} -I\nimport sys\nsys.path.insert(0, {here!r})\n"
            f"import firecracker_stand_in\nfirecracker_stand_in.{main}()\n"
        )
        path.chmod(0o755)
        made.append(path)
    return made[0], made[1]


def jailer() -> None:
    parser = argparse.ArgumentParser(prog="jailer", allow_abbrev=False)
    for name in ("--id", "--exec-file", "--uid", "--gid"):
        parser.add_argument(name, required=True)
    parser.add_argument("--chroot-base-dir", default="/srv/jailer")
    parser.add_argument("--cgroup-version", default="1", choices=("1", "2"))
    parser.add_argument("--cgroup", action="append", default=[])
    parser.add_argument("--resource-limit", action="append", default=[])
    for name in ("--parent-cgroup", "--netns"):
        parser.add_argument(name)
    for name in ("--daemonize", "--new-pid-ns"):
        parser.add_argument(name, action="store_true")
    given = sys.argv[1:]
    split = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:split])
    program = Path(options.exec_file)
    if not _JAIL_ID.fullmatch(options.id):
        parser.error(f"invalid id {options.id}: at most 64 alphanumeric characters and hyphens")
    if "firecracker" not in program.name or not program.is_file():
        parser.error(f"{program} is no program with firecracker in its name")
    if not all(map(_CGROUP.fullmatch, options.cgroup)):
        parser.error("a cgroup is <file>=<value>")
    root = Path(options.chroot_base_dir, program.name, options.id, "root")
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, root / program.name)
    for device in ("dev/net/tun", "dev/kvm"):
        path = root / device
        path.parent.mkdir(parents=True, exist_ok=True)
        # mknod of the real one fails where the node is there: a jail is used once.
        path.touch(exist_ok=False)
    os.chown(root, int(options.uid), int(options.gid))
    words = [str(root / program.name), f"--id={options.id}", "--start-time-us=1", "--start-time-cpu-us=1"]
    environment = {"STAND_IN_ROOT": str(root), "STAND_IN_UID": options.uid, "PATH": os.environ["PATH"]}
    os.execve(words[0], [*words, *given[split + 1 :]], environment)


def firecracker() -> None:
    parser = argparse.ArgumentParser(prog="firecracker", allow_abbrev=False)
    parser.add_argument("--id", required=True)
    parser.add_argument("--api-sock", default="/run/firecracker.socket")
    for name in ("--start-time-us", "--start-time-cpu-us"):
        parser.add_argument(name)
    options = parser.parse_args()
    machine = Machine(options.id, Path(os.environ["STAND_IN_ROOT"]), int(os.environ["STAND_IN_UID"]))
    path = machine.root / options.api_sock.removeprefix("/")
    server = Server(str(path), Handler)
    server.machine = machine
    threading.Thread(target=server.serve_forever, daemon=True).start()
    machine.ended.wait()
    # As the real one: the socket's file stays behind.
    os._exit(0)


class Machine:
    """A microVM: what it was told, and QEMU once it has started."""

    def __init__(self, name: str, root: Path, uid: int) -> None:
        self.name = name
        self.root = root
        self.uid = uid
        self.state = "Not started"
        self.ended = threading.Event()
        self.told: dict[str, Any] = {}
        self.drives: dict[str, dict[str, Any]] = {}
        self.nics: dict[str, dict[str, Any]] = {}
        self.config: dict[str, Any] = {"vcpu_count": 1, "mem_size_mib": 128, "smt": False}
        self.mmds: dict[str, Any] | None = None
        self._qemu: subprocess.Popen[bytes] | None = None
        self._taps: list[int] = []

    def answer(self, method: str, path: str, body: Any) -> Any:
        if method == "GET":
            return self._get(path)
        pattern = checked(method, path, body, self.state != "Not started")
        handlers: dict[str, Callable[[str, dict[str, Any]], object]] = {
            "/boot-source": self._boot_source,
            "/machine-config": self._machine_config,
            "/drives/{drive_id}": self._drive,
            "/network-interfaces/{iface_id}": self._interface,
            "/mmds/config": self._mmds_config,
            "/mmds": self._mmds,
            "/actions": self._act,
            "/vm": self._vm,
            "/vsock": self._vsock,
            "/logger": lambda _, body: self._file(body["log_path"], writable=True),
            "/metrics": lambda _, body: self._file(body["metrics_path"], writable=True),
        }
        handlers[pattern](method, body)
        self.told[path] = body
        return None

    def _get(self, path: str) -> Any:
        if path not in GETS:
            raise FaultError(f"Invalid request method and/or path: GET {path}.")
        info = {"app_name": "Firecracker", "id": self.name, "state": self.state, "vmm_version": VERSION}
        full = {"drives": list(self.drives.values()), "network-interfaces": list(self.nics.values())}
        return {
            "/": info,
            "/version": {"firecracker_version": VERSION},
            "/machine-config": self.config,
            "/mmds": self.mmds or {},
            "/vm/config": {**full, "machine-config": self.config},
        }[path]

    def _file(self, path: str, *, writable: bool) -> Path:
        """A file of the jail, which the one that Firecracker runs as can open."""
        real = self.root / path.removeprefix("/")
        if not real.is_file():
            raise FaultError(f"Unable to open {path}: No such file or directory (os error 2)")
        if real.stat().st_uid != self.uid:
            raise FaultError(f"Unable to open {path}: Permission denied (os error 13), writable: {writable}")
        return real

    def _boot_source(self, _: str, body: dict[str, Any]) -> None:
        kernel = self._file(body["kernel_image_path"], writable=False)
        with kernel.open("rb") as stream:
            if stream.read(4) != b"\x7fELF":
                raise FaultError(
                    "Cannot load kernel due to invalid memory configuration or invalid kernel image"
                )
        if "initrd_path" in body:
            self._file(body["initrd_path"], writable=False)

    def _machine_config(self, _: str, body: dict[str, Any]) -> None:
        if body.get("smt") and body["vcpu_count"] > 1 and body["vcpu_count"] % 2:
            raise FaultError("The vCPU number is invalid! It can only be 1 or even when SMT is enabled.")
        if body.get("huge_pages") == "2M" and body["mem_size_mib"] % 2:
            raise FaultError("The memory size (MiB) is invalid.")
        self.config = body

    def _drive(self, method: str, body: dict[str, Any]) -> None:
        if method == "PATCH":
            if body["drive_id"] not in self.drives:
                raise FaultError("Invalid block device ID!")
            return
        if "path_on_host" not in body or "is_read_only" not in body:
            raise FaultError(
                "Invalid configuration of a block device: path_on_host and is_read_only are needed"
            )
        self._file(body["path_on_host"], writable=not body["is_read_only"])
        others = (each for key, each in self.drives.items() if key != body["drive_id"])
        if body["is_root_device"] and any(each["is_root_device"] for each in others):
            raise FaultError("A root block device already exists!")
        self.drives[body["drive_id"]] = body

    def _interface(self, method: str, body: dict[str, Any]) -> None:
        if method == "PATCH":
            if body["iface_id"] not in self.nics:
                raise FaultError("Invalid interface ID - not found")
            return
        mac = body.get("guest_mac", "")
        if mac and not MAC.fullmatch(mac):
            raise FaultError(f"The MAC address {mac} is invalid")
        if any(mac and each.get("guest_mac") == mac for each in self.nics.values()):
            raise FaultError(f"The MAC address is already in use: {mac}")
        self._taps.append(_open_tap(body["host_dev_name"]))
        self.nics[body["iface_id"]] = body

    def _vsock(self, _: str, body: dict[str, Any]) -> None:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.root / body["uds_path"].removeprefix("/")))
        listening.listen()
        self.told["vsock socket"] = listening

    def _mmds_config(self, _: str, body: dict[str, Any]) -> None:
        if not body["network_interfaces"]:
            raise FaultError(
                "The list of network interface IDs that allow forwarding MMDS requests is empty."
            )
        if set(body["network_interfaces"]) - set(self.nics):
            raise FaultError(
                "The list of network interface IDs provided contains at least one ID that does not exist."
            )
        if not re.fullmatch(r"169\.254\.\d+\.\d+", body.get("ipv4_address", "169.254.169.254"), re.ASCII):
            raise FaultError("The MMDS IPv4 address is not link local.")

    def _mmds(self, method: str, body: dict[str, Any]) -> None:
        if "/mmds/config" not in self.told:
            raise FaultError("The MMDS data store is not initialized.")
        self.mmds = body if method == "PUT" else {**(self.mmds or {}), **body}

    def _act(self, _: str, body: dict[str, Any]) -> None:
        action = body["action_type"]
        if action == "InstanceStart":
            if self.state != "Not started":
                raise FaultError("The requested operation is not supported after starting the microVM.")
            if "/boot-source" not in self.told:
                raise FaultError("Cannot start microvm without kernel configuration.")
            self._start()
        elif self.state == "Not started":
            raise FaultError("The requested operation is not supported before starting the microVM.")
        elif action == "SendCtrlAltDel":
            keys = [{"type": "qcode", "data": each} for each in ("ctrl", "alt", "delete")]
            self._monitor("send-key", keys=keys)
        elif "/metrics" in self.told:
            path = self.root / self.told["/metrics"]["metrics_path"].removeprefix("/")
            with path.open("a") as stream:
                stream.write(json.dumps({"utc_timestamp_ms": 0, "api_server": {}}) + "\n")

    def _vm(self, _: str, body: dict[str, Any]) -> None:
        self._monitor("stop" if body["state"] == "Paused" else "cont")
        self.state = "Paused" if body["state"] == "Paused" else "Running"

    def _start(self) -> None:
        source = self.told["/boot-source"]
        monitor = self.root / "qmp"
        # Guests find their disks on PCI, which QEMU's machine has and Firecracker's has not.
        arguments = source.get("boot_args", "").replace("pci=off", "")
        argv = [
            "qemu-system-x86_64",
            "-M",
            "pc",
            "-accel",
            "tcg",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ]
        argv += ["-m", str(self.config["mem_size_mib"]), "-smp", str(self.config["vcpu_count"])]
        argv += [
            "-kernel",
            str(self.root / source["kernel_image_path"].removeprefix("/")),
            "-append",
            arguments,
        ]
        argv += ["-qmp", f"unix:{monitor},server=on,wait=off", "-serial", "stdio"]
        if "initrd_path" in source:
            argv += ["-initrd", str(self.root / source["initrd_path"].removeprefix("/"))]
        for drive in sorted(self.drives.values(), key=lambda each: not each["is_root_device"]):
            path = self.root / drive["path_on_host"].removeprefix("/")
            only = "on" if drive["is_read_only"] else "off"
            argv += ["-drive", f"file={path},format=raw,if=virtio,readonly={only}"]
        for number, nic in enumerate(self.nics.values()):
            argv += ["-netdev", f"tap,id=n{number},fd={self._taps[number]},vhost=off"]
            argv += ["-device", f"virtio-net-pci,netdev=n{number},mac={nic['guest_mac']}"]
        self._qemu = subprocess.Popen(argv, pass_fds=self._taps, preexec_fn=_die_with_parent)
        while not monitor.exists() and self._qemu.poll() is None:
            time.sleep(0.01)
        self.state = "Running"
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        assert self._qemu is not None
        self._qemu.wait()
        self.ended.set()

    def _monitor(self, command: str, **arguments: Any) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.root / "qmp"))
            stream = line.makefile("rw")
            for each in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(each) + "\n")
                stream.flush()
                while True:
                    said = json.loads(stream.readline())
                    if "return" in said:
                        break
                    if "error" in said:
                        raise FaultError(said["error"]["desc"])


class Server(UnixStreamServer):
    machine: Machine


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        try:
            body = json.loads(text) if text else None
            found = self.server.machine.answer(self.command, self.path, body)
        except ValueError as error:
            self._reply(
                400, {"fault_message": f"An error occurred when deserializing the json body: {error}."}
            )
        except FaultError as fault:
            self._reply(400, {"fault_message": str(fault)})
        else:
            self._reply(204 if found is None else 200, found)

    do_GET = do_PUT = do_PATCH = _serve  # noqa: N815 - the names that the library looks for

    def _reply(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.send_header("Server", "Firecracker API")
        text = b"" if body is None else json.dumps(body).encode()
        if text:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *arguments: Any) -> None:
        """What is told to nobody must not be on the guest's console."""


def _open_tap(name: str) -> int:
    if not Path("/sys/class/net", name, "tun_flags").exists():
        raise FaultError(f"Open tap device failed: Error while creating ifreq structure: no tap {name}")
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22s", name.encode(), flags, bytes(22)))
    except OSError as error:
        os.close(descriptor)
        raise FaultError(
            f"Open tap device failed: {error.strerror}, Invalid TUN/TAP Backend provided by {name}."
        ) from error
    return descriptor


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
