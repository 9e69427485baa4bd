"""A VM's interfaces: leases from networks, and the security groups that come with them.

Source: spec templates.yaml `NIC`, `NIC_ALIAS`, `NIC_DEFAULT`; examples/vm-running.xml.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from merope.core import authorization, ipam, vm_named, vm_requests
from merope.core.transaction import Transaction
from merope.model import pci
from merope.model.address_range import AddressRange
from merope.model.addresses import mac_text
from merope.model.errors import ApiError, Code
from merope.model.leases import owner_of
from merope.model.permissions import ObjectType, Op
from merope.model.security_group import SecurityGroup, about_ranges
from merope.model.template import Template, Vector
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

MAX_NICS = 512
"""NICs and aliases of one VM."""
MAX_RULES = 5000
"""Security group rules that one VM carries: a rule about a network is one for each of its ranges."""

_TARGET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)

_NOT_IN_DEFAULT = ("NETWORK_ID", "NETWORK", "NETWORK_UID", "NETWORK_UNAME")
_REQUESTS = ("IP", "IP6", "MAC")
#: The address that VMs of a router pass among themselves, and the router holds.
FLOATING = tuple(f"VROUTER_{name}" for name in ("MAC", "IP", "IP6", "IP6_LINK", "IP6_ULA", "IP6_GLOBAL"))
#: What a NIC has from its network, its lease and its place; what a template says of them is left out.
OURS = tuple(
    "AR_ID VN_MAD PHYDEV OUTER_VLAN_ID BRIDGE_TYPE CLUSTER_ID PARENT_NETWORK_ID IP6_LINK IP6_ULA IP6_GLOBAL "
    "ORDER NIC_ID ALIAS_ID ALIAS_IDS PARENT_ID ATTACH "
    "CONF BRIDGE_CONF OVS_BRIDGE_CONF IP_LINK_CONF".split()
)
#: How a network is wired: its drivers need it whatever INHERIT_VNET_ATTR says, and nobody else may say it.
WIRING = tuple("VLAN_TAGGED_ID CVLANS QINQ_TYPE VXLAN_MODE VXLAN_TEP VXLAN_MC".split())


def nics_of(template: Template) -> list[Vector]:
    """NICs, aliases and PCI devices that are NICs, in order of NIC_ID."""
    return sorted(_all(template), key=lambda nic: int(nic.get("NIC_ID") or 0))


def _all(template: Template) -> list[Vector]:
    devices = filter(pci.is_nic, template.vectors("PCI"))
    return [*template.vectors("NIC"), *template.vectors("NIC_ALIAS"), *devices]


def is_auto(nic: Vector) -> bool:
    """Whether the scheduler is to choose the network."""
    return nic.get("NETWORK_MODE", "").lower() == "auto"


def prepare(template: Template) -> None:
    """Numbers and names the NICs of a new VM and gives them what NIC_DEFAULT says."""
    defaults = template.vectors("NIC_DEFAULT")
    if len(defaults) > 1:
        raise ApiError(Code.ALLOCATE, "Only one NIC_DEFAULT can be defined.")
    default = defaults[0] if defaults else Vector()
    wrong = next((key for key in _NOT_IN_DEFAULT if key in default), None)
    if wrong:
        raise ApiError(Code.ALLOCATE, f"NIC_DEFAULT cannot have the attribute {wrong}.")
    check_number(template, 0)
    nics = template.vectors("NIC")
    for number, nic in enumerate(nics):
        name_nic(template, nic, number)
    for number, alias in enumerate(template.vectors("NIC_ALIAS"), start=len(nics)):
        name_alias(template, alias, number)
    for number, device in enumerate(filter(pci.is_nic, template.vectors("PCI")), start=_number_of(template)):
        if is_auto(device):
            raise ApiError(Code.ALLOCATE, "PCI cannot use NETWORK_MODE auto.")
        name_nic(template, device, number)


def _number_of(template: Template) -> int:
    return len(template.vectors("NIC")) + len(template.vectors("NIC_ALIAS"))


def check_number(template: Template, more: int) -> None:
    """Raises ApiError ALLOCATE when there are too many NICs and aliases with `more` of them."""
    if _number_of(template) + more > MAX_NICS:
        raise ApiError(Code.ALLOCATE, f"A VM has at most {MAX_NICS} NICs and aliases.")


def name_nic(template: Template, nic: Vector, number: int) -> None:
    """Gives a NIC its id, its name and what NIC_DEFAULT says."""
    _number(template, nic, number)
    default = template.vector("NIC_DEFAULT") or Vector()
    for key, value in default.items():
        nic.setdefault(key, value)
    nic.setdefault("NAME", f"NIC{number}")


def name_alias(template: Template, alias: Vector, number: int) -> None:
    """Gives an alias its id and name and joins it to its NIC; raises ApiError ALLOCATE."""
    _number(template, alias, number)
    _join_parent(template, alias)


def _number(template: Template, nic: Vector, number: int) -> None:
    theirs = () if template.get("VROUTER_ID") else FLOATING
    for key in (*OURS, *WIRING, *theirs, *(_NOT_IN_DEFAULT if is_auto(nic) else ())):
        nic.pop(key, None)
    nic["NIC_ID"] = str(number)


def _join_parent(template: Template, alias: Vector) -> None:
    if is_auto(alias):
        raise ApiError(Code.ALLOCATE, "NIC_ALIAS cannot use NETWORK_MODE auto.")
    wanted = alias.get("PARENT", "")
    parent = next((nic for nic in template.vectors("NIC") if nic["NAME"] == wanted), None)
    if parent is None:
        name = vm_requests.shown(wanted)
        raise ApiError(Code.ALLOCATE, f"NIC_ALIAS: there is no NIC with the NAME {name} given as PARENT.")
    held = [word for word in parent.get("ALIAS_IDS", "").split(",") if word]
    siblings = (other for other in template.vectors("NIC_ALIAS") if other.get("NIC_ID") in held)
    alias["PARENT_ID"] = parent["NIC_ID"]
    alias["ALIAS_ID"] = str(1 + max((int(other["ALIAS_ID"]) for other in siblings), default=-1))
    alias.setdefault("NAME", f"{parent['NAME']}_ALIAS{alias['NIC_ID']}")
    parent["ALIAS_IDS"] = ",".join([*held, alias["NIC_ID"]])


def network_of(tx: Transaction, nic: Vector, uid: int) -> VirtualNetwork:
    """The network that a NIC names by id, or by name and owner (the VM's owner where it names none)."""
    network = vm_named.by_id(tx, VirtualNetwork, nic, "NETWORK")
    if network is not None:
        return network
    if not nic.get("NETWORK"):
        raise ApiError(Code.ALLOCATE, "A NIC needs NETWORK_ID or NETWORK.")
    return vm_named.by_name(tx, VirtualNetwork, nic, "NETWORK", uid, "NIC")


def uses(tx: Transaction, template: Template, uid: int) -> list[authorization.Target]:
    """The rights that the NICs of a new VM ask for."""
    targets = []
    for nic in _all(template):
        if not is_auto(nic):
            targets.append(authorization.on(Op.USE, network_of(tx, nic, uid)))
        targets += [authorization.on(Op.USE, tx.get(SecurityGroup, group)) for group in groups_of(nic)]
    return targets


def acquire(tx: Transaction, vm_id: int, uid: int, nic: Vector) -> None:
    """Takes a lease for a NIC and fills in what comes from its network; raises ApiError ALLOCATE."""
    network = tx.edit(VirtualNetwork, network_of(tx, nic, uid).id)
    inherited = (*tx.settings.inherit_vnet_attr, *WIRING)
    groups = {*groups_of(nic), *_words(network.template.get("SECURITY_GROUPS"))}
    for key in ("NETWORK_UID", "NETWORK_UNAME"):
        nic.pop(key, None)
    asked = Vector(nic)
    nic.update(network_attributes(network, inherited))
    if is_floating_only(nic):
        low = int.from_bytes(tx.context.random(4), "big")
        nic["MAC"] = mac_text((tx.settings.mac_prefix & 0xFFFF) << 32 | low)
    else:
        ranged, index = lease(tx, network, asked, owner_of(ObjectType.VM, vm_id))
        network.recount()
        nic.update(ranged.nic_attributes(index, inherited))
        groups.update(ranged.security_groups)
    nic["SECURITY_GROUPS"] = ",".join(map(str, sorted(groups)))
    target = nic.get("TARGET", "")
    if target and not _TARGET.fullmatch(target):
        # It becomes the name of an interface, and of a socket in the VM's directory.
        detail = f"TARGET must be the name of an interface, not {vm_requests.shown(target)}."
        raise ApiError(Code.ALLOCATE, f"NIC {nic['NIC_ID']}: {detail}")
    nic["TARGET"] = target or f"one-{vm_id}-{nic['NIC_ID']}"


def is_floating_only(nic: Vector) -> bool:
    """Whether a NIC of a router's VM has no address but that which the router holds."""
    return "VROUTER_MAC" in nic and nic.get("FLOATING_ONLY", "").upper() == "YES"


def lease(tx: Transaction, network: VirtualNetwork, nic: Vector, owner: int) -> tuple[AddressRange, int]:
    """Gives an owner the address that a NIC asks for, or the first that is free; ApiError ALLOCATE."""
    asked = [key for key in _REQUESTS if nic.get(key)]
    if len(asked) > 1:
        raise ApiError(
            Code.ALLOCATE, f"Only one of IP, IP6 and MAC can be asked for, not {', '.join(asked)}."
        )
    reason = ""
    for ranged in network.ar_pool:
        wanted = _index(ranged, asked[0], nic[asked[0]]) if asked else None
        if asked and wanted is None:
            continue
        try:
            index = ipam.give(tx, network, ranged, owner, wanted)
        except ipam.NotGivenError as fault:
            reason = f" {fault}"
            continue
        if index is not None:
            return ranged, index
    if asked:
        raise ApiError(
            Code.ALLOCATE,
            f"{asked[0]} {nic[asked[0]][:64]} is not available in virtual network {network.id}.{reason}",
            network.id,
        )
    detail = f"Cannot get IP/MAC lease from virtual network {network.id}.{reason}"
    raise ApiError(Code.ALLOCATE, detail, network.id)


def _index(ranged: AddressRange, key: str, text: str) -> int | None:
    return {"IP": ranged.index_of_ip, "IP6": ranged.index_of_ip6, "MAC": ranged.index_of_mac}[key](text)


def network_attributes(network: VirtualNetwork, inherited: Iterable[str]) -> Vector:
    """What every NIC of a network shows of it."""
    filled = Vector(
        NETWORK=network.name,
        NETWORK_ID=str(network.id),
        BRIDGE=network.bridge,
        VN_MAD=network.vn_mad,
        CLUSTER_ID=",".join(map(str, sorted(network.clusters))),
    )
    optional = {
        "BRIDGE_TYPE": network.bridge_type,
        "PHYDEV": network.phydev,
        "VLAN_ID": network.vlan_id,
        "OUTER_VLAN_ID": network.outer_vlan_id,
        "PARENT_NETWORK_ID": str(network.parent_network_id) if network.parent_network_id >= 0 else "",
    }
    filled.update((key, value) for key, value in optional.items() if value)
    for name in inherited:
        value = network.template.get(name)
        if value:
            filled[name] = value
    return filled


def release(tx: Transaction, vm_id: int, nic: Vector) -> None:
    """Returns a NIC's lease; a network that is gone has none to take back."""
    if not nic.get("NETWORK_ID") or "AR_ID" not in nic:
        return
    oid = int(nic["NETWORK_ID"])
    if tx.find(VirtualNetwork, oid) is None:
        return
    network = tx.edit(VirtualNetwork, oid)
    ranged = network.address_range(int(nic["AR_ID"]))
    index = None if ranged is None else ranged.index_of_mac(nic.get("MAC", ""))
    if ranged is not None and index is not None:
        ipam.take_back(tx, network, ranged, owner_of(ObjectType.VM, vm_id), index)
    network.recount()


def groups_of(nic: Vector) -> list[int]:
    return _words(nic.get("SECURITY_GROUPS", ""))


def _words(text: str) -> list[int]:
    """The ids of a list, each once."""
    words = dict.fromkeys(word.strip() for word in text.split(","))
    return [number for word in words if (number := vm_requests.whole(word)) is not None]


def security_groups(template: Template) -> list[int]:
    """The groups that a VM's NICs use, each once."""
    return sorted({group for nic in nics_of(template) for group in groups_of(nic)})


def join_security_groups(tx: Transaction, vm: VM) -> None:
    """Copies the rules of the NICs' groups into the VM and counts it among those that have them."""
    vm.template.remove("SECURITY_GROUP_RULE")
    for group_id in security_groups(vm.template):
        if tx.find(SecurityGroup, group_id) is None:
            # A network may name one that was deleted since; what it let in is not let in any more.
            continue
        group = tx.edit(SecurityGroup, group_id)
        group.updated_vms.add(vm.id)
        put_rules(vm, group_id, rules_of(tx, group))


def rules_of(tx: Transaction, group: SecurityGroup) -> list[dict[str, str]]:
    """The rules of a group as VMs carry them: SECURITY_GROUP_RULE; not many more than a VM may have."""
    known = {"SECURITY_GROUP_ID": str(group.id), "SECURITY_GROUP_NAME": group.name}
    rules = group.template.vectors("RULE")
    all_of_them = (expanded | known for rule in rules for expanded in _expanded(tx, rule))
    return list(islice(all_of_them, MAX_RULES + 1))


def put_rules(vm: VM, group_id: int, rules: Sequence[Mapping[str, str]]) -> None:
    """Puts a group's rules in place of those that a VM has of it; ApiError ALLOCATE for too many."""
    stored = vm.template.vectors("SECURITY_GROUP_RULE")
    others = [rule for rule in stored if rule.get("SECURITY_GROUP_ID") != str(group_id)]
    if len(others) + len(rules) > MAX_RULES:
        detail = f"The security groups of VM {vm.id} have more than {MAX_RULES} rules together."
        raise ApiError(Code.ALLOCATE, detail, group_id)
    vm.template.remove("SECURITY_GROUP_RULE")
    for rule in sorted([*others, *map(Vector, rules)], key=_group_of):
        vm.template.add("SECURITY_GROUP_RULE", rule)


def _group_of(rule: Vector) -> int:
    return vm_requests.whole(rule.get("SECURITY_GROUP_ID", "")) or 0


def _expanded(tx: Transaction, rule: Vector) -> list[dict[str, str]]:
    """A rule about a network stands for one about each of its ranges."""
    if not rule.get("NETWORK_ID", "").isdecimal():
        return [dict(rule)]
    network = tx.find(VirtualNetwork, int(rule["NETWORK_ID"]))
    return [] if network is None else about_ranges(rule, network)


def join_groups_of(tx: Transaction, vm: VM, nic: Vector) -> None:
    """The VM gets the rules of those of a NIC's groups that none of its other NICs has brought."""
    for group_id in groups_of(nic):
        group = tx.find(SecurityGroup, group_id)
        if group is None or vm.id in _members(group):
            continue
        own = tx.edit(SecurityGroup, group_id)
        own.updated_vms.add(vm.id)
        put_rules(vm, group_id, rules_of(tx, own))


def leave_groups_of(tx: Transaction, vm: VM, nic: Vector) -> None:
    """The VM loses the rules of those of a NIC's groups that none of the NICs it still has needs."""
    kept = security_groups(vm.template)
    for group_id in groups_of(nic):
        if group_id in kept:
            continue
        put_rules(vm, group_id, [])
        if tx.find(SecurityGroup, group_id) is not None:
            own = tx.edit(SecurityGroup, group_id)
            for members in _lists(own):
                members.discard(vm.id)


def _lists(group: SecurityGroup) -> tuple[set[int], ...]:
    return (group.updated_vms, group.outdated_vms, group.updating_vms, group.error_vms)


def _members(group: SecurityGroup) -> set[int]:
    return set().union(*_lists(group))


def leave_security_groups(tx: Transaction, vm: VM) -> None:
    for group_id in security_groups(vm.template):
        if tx.find(SecurityGroup, group_id) is None:
            continue
        group = tx.edit(SecurityGroup, group_id)
        for members in _lists(group):
            members.discard(vm.id)
