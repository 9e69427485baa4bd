"""The files of a host: settings of its sshd and its libvirtd, names of the others."""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

_SSHD = """\
Port 22
ListenAddress {address}
HostKey {place}/ssh/hostkey
PidFile none
PermitRootLogin prohibit-password
AuthorizedKeysFile {bed}/accepted
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
MaxStartups 100
Subsystem sftp internal-sftp
# For bash a shell within a shell, which reads no ~/.bashrc: a developer's may take its time.
SetEnv SHLVL=2
"""

_QEMU = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
vnc_listen = "0.0.0.0"
migration_address = "0.0.0.0"
migration_host = "{address}"
"""

_LIBVIRTD = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "{host_uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

_SSH_CLIENT = """\
Host *
  BatchMode yes
  ConnectTimeout 10
  IdentityFile {home}/.ssh/id_ed25519
  UserKnownHostsFile {home}/.ssh/known_hosts
  StrictHostKeyChecking yes
"""


def with_clock(sshd: str, library: Path, ahead: int) -> str:
    """sshd's settings, so that what it starts sees a wall clock that is `ahead` by seconds (clock.c)."""
    return sshd.replace("SetEnv SHLVL=2", f"SetEnv SHLVL=2 LD_PRELOAD={library} AHEAD={ahead}")


def settings(bed: Path, place: Path, name: str, address: str) -> dict[str, str]:
    """The text of each settings file by its path below the host's directory."""
    values = {
        "bed": bed,
        "place": place,
        "address": address,
        "host_uuid": uuid.uuid5(uuid.NAMESPACE_URL, f"{place}:{name}"),
    }
    texts = {"ssh/sshd_config": _SSHD, "libvirt/qemu.conf": _QEMU, "libvirt/libvirtd.conf": _LIBVIRTD}
    return {path: text.format_map(values) for path, text in texts.items()}


def client_settings(home: Path) -> str:
    """How the hosts reach each other, for `.ssh/config` of the account whose home is `home`."""
    return _SSH_CLIENT.format(home=home)


def names(addresses: Mapping[str, str]) -> str:
    """/etc/hosts of every host."""
    lines = [f"{address} {name}" for name, address in addresses.items()]
    return "\n".join(["127.0.0.1 localhost", "::1 localhost", *lines, ""])


def known_hosts(keys: Iterable[tuple[str, str, str]]) -> str:
    """`keys` are name, address and public key of each host."""
    return "".join(f"{name},{address} {' '.join(key.split()[:2])}\n" for name, address, key in keys)
