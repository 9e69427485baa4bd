"""What an agent is started with: one JSON object on its standard input, for it holds the session's secret."""

from __future__ import annotations

import base64
import json
import os
from typing import Any, NamedTuple

from merope_agent.pci import Filter
from merope_agent.sealing import PublicKey

PERIODS = {
    "BEACON_HOST": 30.0,
    "SYSTEM_HOST": 600.0,
    "MONITOR_HOST": 120.0,
    "STATE_VM": 5.0,
    "MONITOR_VM": 30.0,
    "SYNC_STATE_VM": 180.0,
}
"""Seconds between two messages of a kind (monitord.conf, PROBES_PERIOD)."""
AUTO = "auto"


class ConfigError(ValueError):
    """What is wrong with a configuration, as a sentence."""


class Config(NamedTuple):
    """`address` and `port` are the receiver's; `run` is where the agent's pid file is."""

    host: int
    name: str
    hypervisor: str
    address: str
    port: int
    session: str
    secret: bytes
    run: str
    periods: dict[str, float] = PERIODS
    public_key: PublicKey | None = None
    datastores: str = "/var/lib/one/datastores"
    libvirt_uri: str = "qemu:///system"
    lxd_socket: str = "/var/lib/lxd/unix.socket"
    jails: str = "/srv/jailer"
    emulated: bool | None = None
    """Whether guests run under QEMU without KVM: what the host says its HYPERVISOR is. None: see /dev/kvm."""
    version: str = ""
    """VERSION of the host's document: what its cloud is compatible with."""
    pci: Filter = Filter()
    """Which PCI devices may be given to guests; none if it names none."""
    custom_probes: str = ""
    """Directory of <hypervisor>-probes.d; none if empty."""
    prometheus: str = ""
    """ADDRESS:PORT of /metrics; off if empty."""
    parent: int = 0
    """Process that the agent ends with; 0 for none."""

    @classmethod
    def read(cls, text: str, environ: Any = os.environ) -> Config:
        """Raises ConfigError. The address "auto" is where the SSH session came from."""
        try:
            values = json.loads(text)
            values["secret"] = bytes.fromhex(values["secret"])
            key = values.get("public_key")
            if key is not None:
                values["public_key"] = PublicKey(int(key["modulus"], 16), int(key["exponent"]))
            values["pci"] = Filter(*(tuple(words) for words in values.get("pci", ())))
            values["periods"] = dict(PERIODS, **values.get("periods", {}))
            config = cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"the configuration cannot be read: {error}") from None
        if config.address != AUTO:
            return config
        client = environ.get("SSH_CLIENT", "").split()
        if not client:
            raise ConfigError("MONITOR_ADDRESS is auto, and there is no SSH session to take it from")
        return config._replace(address=client[0])

    def for_probes(self) -> str:
        """What an executable gets on its standard input: base64 of the message that starts monitoring."""
        periods = "".join(f"<{name}>{value:.0f}</{name}>" for name, value in sorted(self.periods.items()))
        text = (
            f"<MONITOR_MESSAGE><DATASTORE_LOCATION>{_escaped(self.datastores)}</DATASTORE_LOCATION><HOST_ID>{self.host}</HOST_ID>"
            f"<HYPERVISOR>{_escaped(self.hypervisor)}</HYPERVISOR><NETWORK><UDP_LISTENER><MONITOR_ADDRESS>{_escaped(self.address)}</MONITOR_ADDRESS>"
            f"<PORT>{self.port}</PORT><PUBKEY/></UDP_LISTENER></NETWORK><PROBES_PERIOD>{periods}</PROBES_PERIOD></MONITOR_MESSAGE>"
        )
        return base64.b64encode(text.encode()).decode()


def _escaped(text: str) -> str:
    # What the library has for this brings half of it along: 3 MB of an agent's memory.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
