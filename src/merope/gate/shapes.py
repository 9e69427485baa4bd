"""What guests see of VMs, services, routers and networks (spec drivers.yaml `onegate`; seed 000 §5.3.3)."""

from typing import Any
from xml.etree.ElementTree import Element

Json = dict[str, Any]

_NIC = (
    "IP", "IP6", "IP6_LINK", "IP6_SITE", "IP6_GLOBAL", "IP6_ULA", "NETWORK", "MAC", "NAME", "PARENT",
    "EXTERNAL_IP",
)  # fmt: skip
_VROUTER_NIC = (
    "NETWORK", "NETWORK_ID", "NIC_ID", "VROUTER_IP", "VROUTER_IP6_GLOBAL", "VROUTER_IP6_ULA", "VROUTER_MAC",
    "VROUTER_MANAGEMENT", "FLOATING_IP", "IP", "MAC",
)  # fmt: skip
_VNET = (
    "NETWORK_ADDRESS", "NETWORK_MASK", "GATEWAY", "GATEWAY6", "DNS", "GUEST_MTU", "SEARCH_DOMAIN", "METHOD",
)  # fmt: skip
_AR = (
    "AR_ID", "IP", "IP_END", "IP6", "IP6_END", "MAC", "MAC_END", "SIZE", "TYPE", "USED_LEASES",
    "GLOBAL_PREFIX", "ULA_PREFIX",
)  # fmt: skip
#: Of the scheduler, for people.
_NOT_SHOWN = ("SCHED_MESSAGE",)


def vm(document: Element) -> Json:
    """`{"VM": …}`."""
    user = {k: v for k, v in _attributes(document.find("USER_TEMPLATE")).items() if k not in _NOT_SHOWN}
    template: Json = {"NIC": _chosen(document, "TEMPLATE/NIC", _NIC)}
    if aliases := _chosen(document, "TEMPLATE/NIC_ALIAS", _NIC):
        template["NIC_ALIAS"] = aliases
    names = ("NAME", "ID", "STATE", "LCM_STATE")
    return {
        "VM": {
            **{name: document.findtext(name, "") for name in names},
            "USER_TEMPLATE": user,
            "TEMPLATE": template,
        }
    }


def _attributes(element: Element | None) -> Json:
    """Attributes as JSON: one that is there several times is a list."""
    found: Json = {}
    for child in element if element is not None else ():
        value = _attributes(child) if len(child) else child.text or ""
        if child.tag not in found:
            found[child.tag] = value
        elif isinstance(found[child.tag], list):
            found[child.tag].append(value)
        else:
            found[child.tag] = [found[child.tag], value]
    return found


def _chosen(document: Element, path: str, names: tuple[str, ...]) -> list[Json]:
    return [
        {name: child.findtext(name, "") for name in names if child.find(name) is not None}
        for child in document.iterfind(path)
    ]


def is_running(document: Element) -> bool:
    return (document.findtext("STATE"), document.findtext("LCM_STATE")) == ("3", "3")


def service(oid: int, name: str, body: Json, vms: dict[int, Element]) -> Json:
    """`{"SERVICE": …}`; `body` is that of the service's document, `vms` what could be seen of its VMs."""
    return {
        "SERVICE": {
            "id": str(oid),
            "name": name,
            "state": body.get("state", 0),
            "roles": [_role(role, vms) for role in body.get("roles", ())],
        }
    }


def _role(role: Json, vms: dict[int, Element]) -> Json:
    return {
        "name": role["name"],
        "cardinality": role.get("cardinality", 1),
        "state": role.get("state", 0),
        "nodes": [_node(node, vms) for node in role.get("nodes", ())],
    }


def _node(node: Json, vms: dict[int, Element]) -> Json:
    seen = vms.get(int(node["deploy_id"]))
    if seen is None:
        return {"deploy_id": node["deploy_id"], "running": False, "vm_info": node.get("vm_info", {})}
    return {"deploy_id": node["deploy_id"], "running": is_running(seen), "vm_info": vm(seen)}


def vrouter(document: Element) -> Json:
    """`{"VROUTER": …}`."""
    return {
        "VROUTER": {
            "NAME": document.findtext("NAME", ""),
            "ID": document.findtext("ID", ""),
            "VMS": {"ID": [child.text or "" for child in document.iterfind("VMS/ID")]},
            "TEMPLATE": {"NIC": _chosen(document, "TEMPLATE/NIC", _VROUTER_NIC)},
        }
    }


def vnet(document: Element) -> Json:
    """`{"VNET": …}`."""
    template = document.find("TEMPLATE")
    known = (
        {} if template is None else {n: template.findtext(n) for n in _VNET if template.find(n) is not None}
    )
    return {
        "VNET": {
            "ID": document.findtext("ID", ""),
            "NAME": document.findtext("NAME", ""),
            "USED_LEASES": document.findtext("USED_LEASES", ""),
            "VROUTERS": {"ID": [child.text or "" for child in document.iterfind("VROUTERS/ID")]},
            "PARENT_NETWORK_ID": document.findtext("PARENT_NETWORK_ID", ""),
            "TEMPLATE": known,
            "AR_POOL": {"AR": [_ar(child) for child in document.iterfind("AR_POOL/AR")]},
        }
    }


def _ar(document: Element) -> Json:
    found = {name: document.findtext(name, "") for name in _AR if document.find(name) is not None}
    leases = [_attributes(lease) for lease in document.iterfind("LEASES/LEASE")]
    return {**found, "LEASES": {"LEASE": leases}}
