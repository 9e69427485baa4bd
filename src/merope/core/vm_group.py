"""VM groups: commands, and the VMs in their roles.

The scheduler places by a group's rules; here is what the rules may be and who is in which role.
Source: spec xmlrpc.yaml `one.vmgroup.*`, templates.yaml `vmgroup`, recorded vmgroup.xml.
"""

from collections.abc import Iterable

from merope.core import acl, authorization, generic, vm_named, vm_requests
from merope.core.methods import Need, integer, method, text
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template, Vector
from merope.model.vm import VM
from merope.model.vm_group import VmGroup

MAX_ROLES = 32
_RULES = ("AFFINED", "ANTI_AFFINED")
_HOSTS = ("HOST_AFFINED", "HOST_ANTI_AFFINED")


@method("one.vmgroup.allocate", text("template"), needs=(Need(Op.CREATE, VmGroup),))
def allocate(tx: Transaction, source: str) -> int:
    """Makes a group of the ROLEs and rules of its template."""
    template = generic.parse_template(source)
    if not template.get("NAME"):
        raise generic.allocate_error("No NAME in template for VM group.")
    name = generic.take_name(tx, VmGroup, template, tx.caller.uid)
    roles = Template(("ROLE", role) for role in template.remove("ROLE") if isinstance(role, Vector))
    fault = _number(roles) or _rule_fault(roles, template)
    if fault:
        raise generic.allocate_error(fault)
    new = VmGroup(
        id=tx.new_id(VmGroup),
        name=name,
        **generic.owned_by_caller(tx),
        roles=roles,
        template=template,
    )
    tx.add(new)
    return new.id


def _number(roles: Template) -> str:
    """Gives the roles of a new group their ids; answers why they cannot be, or nothing."""
    if len(roles) > MAX_ROLES:
        return f"Maximum number of roles in a VM Group reached: {len(roles)}, at most {MAX_ROLES}"
    seen: set[str] = set()
    for number, role in enumerate(roles.vectors("ROLE")):
        name = role.get("NAME", "")
        if not name:
            return "Missing NAME in VM group role"
        if name in seen:
            return f"Role already exists: {name}"
        seen.add(name)
        for key in _HOSTS:
            words = role.get(key, "").split(",") if role.get(key) else []
            if any(vm_requests.whole(word.strip()) is None for word in words):
                return f"{key} of role {name} must be host ids with commas between, not {role[key][:64]!r}"
        role["ID"] = str(number)
        role.pop("VMS", None)
    return ""


def _rule_fault(roles: Template, template: Template) -> str:
    """Why rules cannot be, or nothing: unknown roles, the same rule twice, contradictions."""
    policies = {role["NAME"]: role.get("POLICY", "").upper() for role in roles.vectors("ROLE")}
    rules: dict[str, list[frozenset[str]]] = {name: [] for name in _RULES}
    for name, found in rules.items():
        for value in template.values(name):
            rule = names(value) if isinstance(value, str) else frozenset[str]()
            if not rule or not rule <= policies.keys():
                return f"Some roles used in {name} attribute ({value}) are not defined"
            if rule in found:
                return f"Duplicated {name} rule ({value}) detected."
            found.append(rule)
    for role in sorted(frozenset[str]().union(*rules["AFFINED"])):
        if policies[role] == "ANTI_AFFINED":
            return f"Role {role} is in an AFFINED rule but the role policy is ANTI_AFFINED"
    for together in _merged(rules["AFFINED"]):
        for apart in rules["ANTI_AFFINED"]:
            if len(together & apart) > 1:
                return (
                    f"Roles defined in AFFINED and ANTI_AFFINED rules: {' '.join(sorted(together & apart))}"
                )
    return ""


def names(listed: str) -> frozenset[str]:
    """The roles of a rule ("web, db")."""
    return frozenset(name for word in listed.split(",") if (name := word.strip()))


def _merged(rules: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Rules that have a role in common are one."""
    merged: list[frozenset[str]] = []
    for rule in rules:
        joined = rule.union(*(other for other in merged if other & rule))
        merged = [other for other in merged if not other & rule] + [joined]
    return merged


@method("one.vmgroup.delete", integer("id"), needs=(Need(Op.MANAGE, VmGroup, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a group that no VM is in."""
    group = tx.get(VmGroup, oid)
    members = sum(len(vms_of(role)) for role in group.roles.vectors("ROLE"))
    if members:
        raise generic.delete_error(group, f"VM Group has {members} VMs")
    acl.drop_rules_about(tx, ObjectType.VMGROUP, oid)
    tx.delete(group)
    return oid


@generic.checks_updates(VmGroup)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """Roles stay as they were made; rules change while no VM is in the group."""
    assert isinstance(value, VmGroup)
    members = sum(len(vms_of(role)) for role in value.roles.vectors("ROLE"))
    if members:
        raise generic.update_error(f"VM Group has {members} VMs", value.id)
    for name in ("ROLE", "NAME"):
        new.remove(name)
    fault = _rule_fault(value.roles, new)
    if fault:
        raise generic.update_error(fault, value.id)
    return new


# VMs in roles


def vms_of(role: Vector) -> list[int]:
    """The ids of a role's VMs, ascending."""
    return sorted(int(word) for word in role.get("VMS", "").split(",") if word)


def role_of(group: VmGroup, name: str) -> Vector | None:
    return next((role for role in group.roles.vectors("ROLE") if role["NAME"] == name), None)


def uses(tx: Transaction, template: Template, uid: int) -> list[authorization.Target]:
    """The right that the VMGROUP of a new VM asks for; raises ApiError ALLOCATE where it names none."""
    vector = _vector(template)
    return [] if vector is None else [authorization.on(Op.USE, _group(tx, vector, uid))]


def _vector(template: Template) -> Vector | None:
    vectors = template.vectors("VMGROUP")
    if len(vectors) > 1:
        raise ApiError(Code.ALLOCATE, "Only one VMGROUP attribute can be defined.")
    return vectors[0] if vectors else None


def _group(tx: Transaction, vector: Vector, uid: int) -> VmGroup:
    """By VMGROUP_NAME and its owner (the VM's where none is named), else by VMGROUP_ID."""
    name = vector.get("VMGROUP_NAME")
    oid: int | None
    if name:
        oid = tx.named(VmGroup, name, vm_named.owner(tx, vector, "VMGROUP", uid))
    else:
        oid = vm_requests.whole(vector.get("VMGROUP_ID", ""))
    found = None if oid is None else tx.find(VmGroup, oid)
    if found is None:
        raise ApiError(Code.ALLOCATE, "Cannot find VM Group to associate the VM")
    return found


def join(tx: Transaction, vm: VM) -> None:
    """Puts a new VM into the role that its VMGROUP names; raises ApiError ALLOCATE."""
    vector = _vector(vm.template)
    if vector is None:
        return
    if not vector.get("ROLE"):
        raise ApiError(Code.ALLOCATE, "Missing role name in VM Group definition")
    group = _group(tx, vector, vm.uid)
    if role_of(group, vector["ROLE"]) is None:
        raise ApiError(Code.ALLOCATE, f"Role {vector['ROLE'][:64]} does not exist in VM Group {group.id}")
    vector["VMGROUP_ID"] = str(group.id)
    role = role_of(tx.edit(VmGroup, group.id), vector["ROLE"])
    assert role is not None
    set_vms(role, {*vms_of(role), vm.id})


def leave(tx: Transaction, vm: VM) -> None:
    """Takes a VM that ends out of its role."""
    for vector in vm.template.vectors("VMGROUP"):
        oid = vm_requests.whole(vector.get("VMGROUP_ID", ""))
        if oid is None or tx.find(VmGroup, oid) is None:
            continue
        role = role_of(tx.edit(VmGroup, oid), vector.get("ROLE", ""))
        if role is not None:
            set_vms(role, {*vms_of(role)} - {vm.id})


def set_vms(role: Vector, vms: Iterable[int]) -> None:
    """Writes the ids of a role's VMs, ascending; a role without any has no VMS."""
    listed = ",".join(map(str, sorted(vms)))
    if listed:
        role["VMS"] = listed
    else:
        role.pop("VMS", None)
