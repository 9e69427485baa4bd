"""A real Open vSwitch of a host that is a namespace; in user space: it needs nothing of the kernel."""

import os
import signal
from pathlib import Path

from tests.drivers.network.wires import Machine

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
PROGRAMS = ("ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ovsdb-server", "ovsdb-tool")
IN_USER_SPACE = 'OVS_BRIDGE_CONF = "datapath_type=netdev"'


class Switch:
    def __init__(self, host: Machine, directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        names = ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")
        host.environment |= dict.fromkeys(names, str(directory))
        host.tool(["ovsdb-tool", "create", str(directory / "conf.db"), _SCHEMA])
        socket = f"punix:{directory / 'db.sock'}"
        self._start(host, ["ovsdb-server", str(directory / "conf.db"), f"--remote={socket}"])
        host.tool(["ovs-vsctl", "--no-wait", "init"])
        self._start(host, ["ovs-vswitchd", f"unix:{directory / 'db.sock'}"])

    def _start(self, host: Machine, command: list[str]) -> None:
        host.tool([*command, f"--pidfile={self._directory / command[0]}.pid", "--detach", "-vconsole:off"])

    def stop(self) -> None:
        for path in self._directory.glob("*.pid"):
            os.kill(int(path.read_text()), signal.SIGKILL)
