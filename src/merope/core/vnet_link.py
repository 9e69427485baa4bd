"""How a network reaches its hosts: driver, bridge, physical device and VLAN ids.

The elements of the document follow from the attributes of the template. Source: spec templates.yaml
`vnet` (`attrs`, `automatic_vlan`), recorded vnet.xml.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from merope.core.transaction import Transaction
from merope.model import vlan_bitmap
from merope.model.change import Row
from merope.model.kinds import NET
from merope.model.template import Template
from merope.model.vnet import VirtualNetwork

_AUTOMATIC = ("AUTOMATIC_VLAN_ID", "AUTOMATIC_OUTER_VLAN_ID")
_MAX_VLAN = 4095
_MAX_VNI = (1 << 24) - 1
_NO_BRIDGE = "none"


class NetworkError(ValueError):
    """A template that makes no network; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class _Driver:
    """What a driver asks of a network: attributes that must be there, and where its VLAN ids come from.

    `vlan` and `outer` are the highest allowed VLAN_ID and OUTER_VLAN_ID, 0 where the driver has none.
    """

    bridge: bool = False
    phydev: bool = False
    needs_vlan: bool = False
    vlan: int = _MAX_VLAN
    outer: int = 0


_DRIVERS = {
    "dummy": _Driver(bridge=True),
    "802.1Q": _Driver(phydev=True, needs_vlan=True),
    "vxlan": _Driver(phydev=True, needs_vlan=True, vlan=_MAX_VNI),
    "ovswitch_vxlan": _Driver(outer=_MAX_VNI),
}
_TAGGED = ("802.1Q", "vxlan", "ovswitch", "ovswitch_vxlan", "vcenter")
_ORDINARY = _Driver()


def connect(tx: Transaction, network: VirtualNetwork, template: Template) -> None:
    """Sets the elements of a new network from its template, which it completes. Raises NetworkError."""
    driver = _take_driver(tx, network, template)
    _follow(network, template, "PHYDEV")
    _follow(network, template, "VLAN_ID")
    _follow(network, template, "OUTER_VLAN_ID")
    if network.vn_mad in _TAGGED:
        _assign_vlans(tx, network, template, driver)
    _finish(network, template, driver)


def reconnect(tx: Transaction, network: VirtualNetwork, old: Template, new: Template) -> None:
    """The same for a template that replaces another. Raises NetworkError.

    What the new one does not mention stays as it was, and an id that was found automatically stays.
    """
    driver = _take_driver(tx, network, new)
    for name, automatic in (
        ("VLAN_ID", network.vlan_id_automatic),
        ("OUTER_VLAN_ID", network.outer_vlan_id_automatic),
    ):
        if automatic:
            new.remove(name)
        else:
            _follow(network, new, name)
    _follow(network, new, "PHYDEV")
    for name in _AUTOMATIC:
        new.remove(name)
        if name in old:
            new.set(name, old.get(name))
    _finish(network, new, driver)


def _take_driver(tx: Transaction, network: VirtualNetwork, template: Template) -> _Driver:
    name = template.get("VN_MAD") or network.vn_mad
    if not name:
        raise NetworkError("No VN_MAD in template for Virtual Network.")
    conf = tx.settings.vn_mad_conf.get(name)
    if conf is None:
        raise NetworkError(f'VN_MAD named "{name[:64]}" is not defined in oned.conf')
    network.vn_mad, network.bridge_type = name, conf.get("BRIDGE_TYPE", "linux")
    template.set("VN_MAD", name)
    template.set("BRIDGE_TYPE", network.bridge_type)
    return _DRIVERS.get(name, _ORDINARY)


def _follow(network: VirtualNetwork, template: Template, name: str) -> None:
    """An element takes the attribute's value; an attribute that is not there takes the element's."""
    field = name.lower()
    if name in template:
        setattr(network, field, template.get(name))
    elif getattr(network, field) or name == "PHYDEV":
        # 5.12 shows an empty PHYDEV, but no empty VLAN_ID.
        template.set(name, getattr(network, field))


def _finish(network: VirtualNetwork, template: Template, driver: _Driver) -> None:
    if driver.phydev and not network.phydev:
        raise NetworkError(f"VN_MAD {network.vn_mad} needs the attribute PHYDEV.")
    if driver.needs_vlan and not network.vlan_id:
        raise NetworkError(f"VN_MAD {network.vn_mad} needs VLAN_ID, or AUTOMATIC_VLAN_ID=YES.")
    if driver.outer and not network.outer_vlan_id:
        raise NetworkError(f"VN_MAD {network.vn_mad} needs OUTER_VLAN_ID, or AUTOMATIC_OUTER_VLAN_ID=YES.")
    _check_id("VLAN_ID", network.vlan_id, driver.vlan)
    _check_id("OUTER_VLAN_ID", network.outer_vlan_id, driver.outer or _MAX_VNI)
    bridge = template.get("BRIDGE") or network.bridge
    if network.bridge_type == _NO_BRIDGE:
        bridge = ""
    elif not bridge:
        if driver.bridge:
            raise NetworkError(f"VN_MAD {network.vn_mad} needs the attribute BRIDGE.")
        bridge = f"onebr.{network.vlan_id}" if network.vlan_id else f"onebr{network.id}"
    network.bridge = bridge
    template.set("BRIDGE", bridge)


def _check_id(name: str, text: str, highest: int) -> None:
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 8 and int(text) <= highest):
        raise NetworkError(f"{name} must be a number from 0 to {highest}, not {text[:32]!r}.")


def _assign_vlans(tx: Transaction, network: VirtualNetwork, template: Template, driver: _Driver) -> None:
    if not network.vlan_id and template.get_bool("AUTOMATIC_VLAN_ID"):
        if driver.vlan == _MAX_VNI:
            found = _vni(tx, network.id)
        else:
            found = _free_vlan(tx, network.id)
            _note_automatic(tx, _automatic_vlans(tx) | {found})
        network.vlan_id, network.vlan_id_automatic = str(found), 1
        template.remove("VLAN_ID")
    if driver.outer and not network.outer_vlan_id and template.get_bool("AUTOMATIC_OUTER_VLAN_ID"):
        network.outer_vlan_id, network.outer_vlan_id_automatic = str(_vni(tx, network.id)), 1
        template.remove("OUTER_VLAN_ID")


def disconnect(tx: Transaction, network: VirtualNetwork) -> None:
    """A network that is deleted gives back the VLAN id that was found for it."""
    if network.vlan_id_automatic and network.vn_mad != "vxlan":
        _note_automatic(tx, _automatic_vlans(tx) - {int(network.vlan_id)})


def _vni(tx: Transaction, oid: int) -> int:
    """A VXLAN id is the network's own: nobody else can have it, so none is looked for."""
    return tx.settings.vxlan_ids_start + oid


def _free_vlan(tx: Transaction, oid: int) -> int:
    """The first VLAN id, from one that the network's id gives, that no network of the zone has."""
    start = tx.settings.vlan_ids_start
    span = _MAX_VLAN - start
    used = _used_vlans(tx)
    reserved = tx.settings.vlan_ids_reserved
    for offset in range(span):
        vlan = start + (oid + offset) % span
        if vlan not in used and not any(low <= vlan <= high for low, high in reserved):
            return vlan
    raise NetworkError("There is no free VLAN_ID left for AUTOMATIC_VLAN_ID.")


def _used_vlans(tx: Transaction) -> set[int]:
    """Those that were given automatically and those that users chose."""
    return {int(network.vlan_id) for network in _with_vlan(tx)}


def _automatic_vlans(tx: Transaction) -> set[int]:
    found = {int(network.vlan_id) for network in _with_vlan(tx) if network.vlan_id_automatic}
    return {vlan for vlan in found if vlan <= _MAX_VLAN}


def _with_vlan(tx: Transaction) -> Iterator[VirtualNetwork]:
    for oid in tx.state.pool(NET).entries:
        network = tx.find(VirtualNetwork, oid)
        if network is not None and network.vn_mad != "vxlan" and network.vlan_id.isdecimal():
            yield network


def _note_automatic(tx: Transaction, ids: set[int]) -> None:
    """The table from which 5.12 gives ids; here they follow from the networks."""
    row: Row = {"id": vlan_bitmap.ROW, "map": vlan_bitmap.encode(ids)}
    tx.put_row(vlan_bitmap.TABLE, vlan_bitmap.ROW, row)
