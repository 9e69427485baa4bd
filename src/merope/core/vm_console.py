"""Ports of graphical consoles: one for each VM of a cluster, from VNC_PORTS (spec oned_conf.yaml)."""

from merope.core.transaction import Transaction
from merope.model.vm import VM

_LAST_PORT = 65535


def assign(tx: Transaction, vm: VM) -> None:
    """Gives the VM START+id, or the next free port; none when its GRAPHICS states one or it has none."""
    graphics = vm.template.vector("GRAPHICS")
    current = vm.history
    if graphics is None or current is None or graphics.get("PORT"):
        return
    if graphics.get("TYPE", "").upper() not in ("VNC", "SPICE"):
        return
    used = tx.state.vnc_ports
    start = tx.settings.vnc_ports_start
    span = _LAST_PORT + 1 - start
    for offset in range(span):
        port = start + (vm.id + offset) % span
        if (current.cid, port) not in used and not _reserved(tx, port):
            graphics["PORT"] = str(port)
            return


def release(vm: VM) -> None:
    """Returns the port; it is assigned anew when the VM is placed again."""
    graphics = vm.template.vector("GRAPHICS")
    if graphics is not None:
        graphics.pop("PORT", None)


def _reserved(tx: Transaction, port: int) -> bool:
    return any(low <= port <= high for low, high in tx.settings.vnc_ports_reserved)
