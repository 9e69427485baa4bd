"""CONTEXT and the `$` variables (spec templates.yaml `variables`).

Values come from the VM, its owner, the networks of its NICs and the images of its disks. Substitution is
one pass: what a variable brings in is not looked at again.
"""

import base64
import re
from collections.abc import Callable

from merope.core import authorization, vm_nics
from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import Op
from merope.model.template import Template, Vector
from merope.model.user import User
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

# (variable of the guest, attribute of the NIC, attribute of the network or None)
_NIC_VARIABLES: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("IP", ("IP",), None),
    ("MAC", ("MAC",), None),
    ("MASK", ("NETWORK_MASK",), "NETWORK_MASK"),
    ("NETWORK", ("NETWORK_ADDRESS",), "NETWORK_ADDRESS"),
    ("GATEWAY", ("GATEWAY",), "GATEWAY"),
    ("DNS", ("DNS",), "DNS"),
    ("SEARCH_DOMAIN", ("SEARCH_DOMAIN",), "SEARCH_DOMAIN"),
    ("MTU", ("GUEST_MTU",), "GUEST_MTU"),
    ("METRIC", ("METRIC",), "METRIC"),
    ("VLAN_ID", ("VLAN_ID",), "VLAN_ID"),
    ("VROUTER_IP", ("VROUTER_IP",), None),
    ("VROUTER_MANAGEMENT", ("VROUTER_MANAGEMENT",), None),
    ("EXTERNAL", ("EXTERNAL",), None),
    ("IP6", ("IP6_GLOBAL", "IP6"), None),
    ("IP6_ULA", ("IP6_ULA",), None),
    ("GATEWAY6", ("GATEWAY6",), "GATEWAY6"),
    ("METRIC6", ("METRIC6",), "METRIC6"),
    ("CONTEXT_FORCE_IPV4", ("CONTEXT_FORCE_IPV4",), "CONTEXT_FORCE_IPV4"),
    ("IP6_PREFIX_LENGTH", ("PREFIX_LENGTH",), "PREFIX_LENGTH"),
    ("VROUTER_IP6", ("VROUTER_IP6_GLOBAL", "VROUTER_IP6"), None),
)
#: What the VMs of a virtual router are told to find one another.
_ROUTER = ("VROUTER_ID", "VROUTER_KEEPALIVED_ID", "VROUTER_KEEPALIVED_PASSWORD")

#: What only the cloud reads of a user: a template of somebody else's must not bring it into one's guest.
_SECRET = "TOKEN_PASSWORD"  # noqa: S105 - the attribute's name

_MOST = 1 << 20
_MOST_VARIABLES = 10_000
_VARIABLE = re.compile(
    r"""\\\$                                        # \$ stands for itself
    | \$(?P<name>[A-Za-z0-9_]+)
      (?:\[\s*(?P<attribute>[A-Za-z0-9_]+)\s*
         (?:,\s*(?P<key>[A-Za-z0-9_]+)\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[A-Za-z0-9_]+))\s*)?\]
      | \$(?![A-Za-z0-9_]))?                          # a $ ends a name, unless another begins with it""",
    re.VERBOSE,
)


class Room:
    """How many variables there may still be, and how many characters they may bring in: a short text can ask
    for a long one many times."""

    def __init__(self) -> None:
        self.left = _MOST
        self.variables = _MOST_VARIABLES

    def take(self, text: str) -> str:
        """Raises ApiError ALLOCATE when there is no room for the text."""
        self.left -= len(text)
        self.variables -= 1
        if self.variables < 0:
            raise ApiError(Code.ALLOCATE, f"There are more than {_MOST_VARIABLES} variables.")
        if self.left < 0:
            raise ApiError(Code.ALLOCATE, f"Variables bring in more than {_MOST} characters.")
        return text


def build(tx: Transaction, vm: VM) -> None:
    """Makes CONTEXT what the guest will read; raises ApiError ALLOCATE.

    Variables are filled in, and those of the NICs, the token and its endpoint are added.
    """
    given = vm.template.vectors("CONTEXT")
    if not given:
        return
    room = Room()
    context = Vector({key: substitute(tx, vm, value, room) for key, value in given[0].items()})
    generate(tx, vm, context)
    vm.template.set("CONTEXT", context)


def generate(tx: Transaction, vm: VM, context: Vector) -> None:
    """Adds what the cloud itself puts into a CONTEXT; it takes precedence over what was given."""
    if context.get("NETWORK", "").upper() == "YES":
        for nic in vm_nics.nics_of(vm.template):
            context.update(nic_variables(tx, nic))
    for device in vm.template.vectors("PCI"):
        if device.get("VM_ADDRESS"):
            context[f"PCI{device['PCI_ID']}_ADDRESS"] = device["VM_ADDRESS"]
    for name in _ROUTER:
        if vm.template.get(name):
            context[name] = vm.template.get(name)
    if context.get("TOKEN", "").upper() == "YES":
        endpoint = tx.settings.onegate_endpoint
        if not endpoint:
            raise ApiError(
                Code.ALLOCATE,
                "CONTEXT asks for a TOKEN, but ONEGATE_ENDPOINT is not set in oned.conf.",
            )
        context["ONEGATE_ENDPOINT"] = endpoint
        context["VMID"] = str(vm.id)
        vm.template.set("CREATED_BY", str(tx.caller.uid))


def add_nic(tx: Transaction, vm: VM, nic: Vector) -> None:
    """What the guest reads of a NIC or alias that it gets."""
    context = vm.template.vector("CONTEXT")
    if context is not None and context.get("NETWORK", "").upper() == "YES":
        context.update(nic_variables(tx, nic))


def remove_nic(vm: VM, nic: Vector) -> None:
    """The guest reads no more of a NIC with its aliases, or of an alias."""
    context = vm.template.vector("CONTEXT")
    if context is not None:
        for name in [name for name in context if name.startswith(_prefix(nic))]:
            del context[name]


def _prefix(nic: Vector) -> str:
    if "PARENT_ID" in nic:
        return f"ETH{nic['PARENT_ID']}_ALIAS{nic['ALIAS_ID']}_"
    if "PCI_ID" in nic:
        return f"PCI{nic['PCI_ID']}_"
    return f"ETH{nic['NIC_ID']}_"


def nic_variables(tx: Transaction, nic: Vector) -> dict[str, str]:
    prefix = _prefix(nic)
    network = tx.find(VirtualNetwork, int(nic.get("NETWORK_ID") or -1))
    stated = Vector() if network is None else _range_attributes(network, nic)
    found = {}
    for name, keys, attribute in _NIC_VARIABLES:
        value = next((nic[key] for key in keys if nic.get(key)), "")
        if not value and attribute is not None and network is not None:
            value = stated.get(attribute) or network.template.get(attribute)
        found[prefix + name] = value
    return found


def _range_attributes(network: VirtualNetwork, nic: Vector) -> Vector:
    """What a NIC's range says: it comes before what its network says."""
    ranged = network.address_range(int(nic.get("AR_ID") or -1))
    return Vector() if ranged is None else ranged.attributes


def substitute(tx: Transaction, vm: VM, text: str, room: Room) -> str:
    """Fills in the variables of a value; raises ApiError ALLOCATE when they need more than the room left."""
    if "$" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        attribute = match["attribute"]
        wanted = match["quoted"] if match["quoted"] is not None else match["plain"]
        if attribute is None:
            return room.take(_single(tx, vm, name.upper()))
        key = match["key"]
        found = _of_vector(
            tx, vm, name.upper(), attribute.upper(), key.upper() if key else None, wanted or ""
        )
        return room.take(found)

    return _VARIABLE.sub(value, text)


def _single(tx: Transaction, vm: VM, name: str) -> str:
    known: dict[str, Callable[[], str]] = {
        "NAME": lambda: vm.name,
        "UID": lambda: str(vm.uid),
        "UNAME": lambda: vm.uname,
        "GID": lambda: str(vm.gid),
        "GNAME": lambda: vm.gname,
        "TEMPLATE": lambda: _encoded(vm.template),
    }
    if name in known:
        return known[name]()
    return vm.template.get(name) or vm.user_template.get(name)


def _of_vector(tx: Transaction, vm: VM, name: str, attribute: str, key: str | None, wanted: str) -> str:
    if name == "USER":
        user = tx.find(User, vm.uid)
        # Who may change a VM of somebody else's need not know its owner.
        hidden = user is None or authorization.refusal(tx, authorization.on(Op.USE, user, lock=False))
        return "" if hidden or user is None else _of_user(user, attribute)
    if name == "NETWORK":
        return _of_network(tx, vm, attribute, key, wanted)
    if name == "IMAGE":
        return _of_image(tx, vm, attribute, key, wanted)
    for vector in vm.template.vectors(name):
        if key is None or vector.get(key) == wanted:
            return vector.get(attribute, "")
    return ""


def _of_user(user: User, attribute: str) -> str:
    known = user.template.copy()
    known.remove(_SECRET)
    return _of_template(known, attribute)


def _of_network(tx: Transaction, vm: VM, attribute: str, key: str | None, wanted: str) -> str:
    for nic in vm_nics.nics_of(vm.template):
        if key not in ("NETWORK", "NETWORK_ID", "NIC_ID") or nic.get(key) != wanted:
            continue
        network = tx.find(VirtualNetwork, int(nic.get("NETWORK_ID") or -1))
        if network is None:
            return ""
        if attribute == "TEMPLATE":
            return _encoded(network.template)
        if key == "NIC_ID":
            return _range_attributes(network, nic).get(attribute) or network.template.get(attribute)
        return network.template.get(attribute)
    return ""


def _of_image(tx: Transaction, vm: VM, attribute: str, key: str | None, wanted: str) -> str:
    for disk in vm.template.vectors("DISK"):
        if key in ("IMAGE", "IMAGE_ID") and disk.get(key) == wanted:
            image = tx.find(Image, int(disk.get("IMAGE_ID") or -1))
            return "" if image is None else _of_template(image.template, attribute)
    return ""


def _of_template(template: Template, attribute: str) -> str:
    return _encoded(template) if attribute == "TEMPLATE" else template.get(attribute)


def _encoded(template: Template) -> str:
    return base64.b64encode(template.to_xml().encode()).decode()
