"""What goca, the Go binding, reads in each document, and how strictly: a reader with its field types.

The tables are facts of goca's published structures. Go's encoding/xml takes a missing element for zero, an
element that is not declared for nothing to read, and fails on a number that is none. More is asked here than
Go does: an empty number (an error up to Go 1.8) and a second element where one is declared fail too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

TOKEN = re.compile(
    r"<!\[CDATA\[(?P<cdata>.*?)\]\]>|<(?P<close>/)?(?P<tag>[\w.:-]+)\s*(?P<empty>/)?>|(?P<text>[^<]+)",
    re.DOTALL,
)
ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}


class UnreadableError(ValueError):
    """goca would answer an error for this document."""


@dataclass
class Node:
    """An element: its elements, and each run of character data as a token of its own, as Go has them."""

    tag: str
    children: list["Node"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def all(self, path: str) -> list["Node"]:
        """The elements at a path of goca's tags, `A>B`."""
        found = [self]
        for name in path.split(">"):
            found = [child for node in found for child in node.children if child.tag == name]
        return found


def parse(text: str) -> Node:
    top = Node("")
    open_nodes = [top]
    end = 0
    for token in TOKEN.finditer(text):
        if token.start() != end:
            raise UnreadableError(f"not XML at {text[end : end + 40]!r}")
        end = token.end()
        here = open_nodes[-1]
        if token["cdata"] is not None:
            here.texts.append(token["cdata"])
        elif token["text"] is not None:
            here.texts.append(re.sub("&[a-z]+;", lambda found: ENTITIES[found[0]], token["text"]))
        elif token["close"]:
            if open_nodes.pop().tag != token["tag"]:
                raise UnreadableError(f"</{token['tag']}> ends no element")
        else:
            node = Node(token["tag"])
            here.children.append(node)
            if not token["empty"]:
                open_nodes.append(node)
    if len(open_nodes) != 1 or len(top.children) != 1 or end != len(text):
        raise UnreadableError("the document is not one whole element")
    return top.children[0]


T = TypeVar("T")
Reader = Callable[[Node], Any]


def integer(bits: int) -> Reader:
    def read(node: Node) -> int:
        text = node.text.strip()
        if not re.fullmatch(r"[+-]?\d+", text) or not -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1):
            raise UnreadableError(f"{node.tag} is {node.text!r}, goca reads an int{bits}")
        return int(text)

    return read


def floating(node: Node) -> float:
    try:
        return float(node.text)
    except ValueError:
        raise UnreadableError(f"{node.tag} is {node.text!r}, goca reads a float") from None


def string(node: Node) -> str:
    return node.text


Int, Int8, Float, Str = integer(64), integer(8), floating, string


@dataclass(frozen=True)
class Many:
    """A repeated element (a slice of Go)."""

    of: Reader


Struct = Mapping[str, "Reader | Many"]


def each(kind: "Reader | Many", *names: str) -> "dict[str, Reader | Many]":
    """Fields of one type."""
    return dict.fromkeys(names, kind)


def struct(fields: Struct, *, tag: str = "") -> Reader:
    def read(node: Node) -> dict[str, Any]:
        if tag and node.tag != tag:
            raise UnreadableError(f"<{node.tag}> where goca expects <{tag}>")
        return {path: _field(node, path, kind) for path, kind in fields.items()}

    return read


def _field(node: Node, path: str, kind: "Reader | Many") -> Any:
    found = node.all(path)
    if isinstance(kind, Many):
        return [kind.of(one) for one in found]
    if len(found) > 1:
        raise UnreadableError(f"{len(found)} elements {path} in <{node.tag}>, goca reads one")
    return kind(found[0]) if found else None


@dataclass(frozen=True)
class Template:
    """A dynamic template: pairs and vectors in their order; goca drops empty elements."""

    pairs: list[tuple[str, str]]
    vectors: list[tuple[str, list[tuple[str, str]]]]

    def get(self, name: str) -> str:
        """A value as `GetStr` has it: an error where the name is not there exactly once."""
        return _only(self.pairs, name)

    def vector(self, name: str) -> "Vector":
        return Vector(name, _only(self.vectors, name))

    def all(self, name: str) -> list["Vector"]:
        return [Vector(found, pairs) for found, pairs in self.vectors if found == name]


@dataclass(frozen=True)
class Vector:
    name: str
    pairs: list[tuple[str, str]]

    def get(self, name: str) -> str:
        return _only(self.pairs, name)

    def number(self, name: str) -> int:
        return int(self.get(name))


def _only(items: list[tuple[str, T]], name: str) -> T:
    found = [value for key, value in items if key == name]
    if len(found) != 1:
        raise UnreadableError(f"{len(found)} times {name} among {[key for key, _ in items]}")
    return found[0]


def template(node: Node) -> Template:
    read = Template([], [])
    for child in node.children:
        if len(child.texts) > 1:
            raise UnreadableError(f"{child.tag} has its value in {len(child.texts)} parts")
        if child.children:
            if child.texts:
                raise UnreadableError(f"{child.tag} has elements and text")
            read.vectors.append((child.tag, [(pair.tag, pair.text) for pair in child.children]))
        elif child.texts:
            read.pairs.append((child.tag, child.texts[0]))
    return read


IDS = struct({"ID": Many(Int)})
PERMISSIONS = struct(each(Int8, *(f"{who}_{what}" for who in ("OWNER", "GROUP", "OTHER") for what in "UMA")))
LOCK = struct({"LOCKED": Int, "OWNER": Int, "TIME": Int, "REQ_ID": Int})
OWNED: Struct = {"ID": Int, "UID": Int, "GID": Int, "UNAME": Str, "GNAME": Str, "NAME": Str}
GUARDED: Struct = {**OWNED, "PERMISSIONS": PERMISSIONS, "LOCK": LOCK}
SNAPSHOT = struct(
    {"CHILDREN": Str, "ACTIVE": Str, "DATE": Int, "ID": Int, "NAME": Str, "PARENT": Int, "SIZE": Int}
)
DISK_SNAPSHOTS = struct(
    {
        "ALLOW_ORPHANS": Str,
        "CURRENT_BASE": Int,
        "DISK_ID": Int,
        "NEXT_SNAPSHOT": Int,
        "SNAPSHOT": Many(SNAPSHOT),
    }
)
QUOTA_LIST: Struct = {
    "DATASTORE_QUOTA>DATASTORE": Many(
        struct({"ID": Int, "IMAGES": Int, "IMAGES_USED": Int, "SIZE": Int, "SIZE_USED": Int})
    ),
    "NETWORK_QUOTA>NETWORK": Many(struct({"ID": Int, "LEASES": Int, "LEASES_USED": Int})),
    "VM_QUOTA>VM": struct(
        {
            f"{prefix}{name}{used}": Float if name == "CPU" else Int
            for prefix in ("", "RUNNING_")
            for name in ("CPU", "MEMORY", "VMS")
            for used in ("", "_USED")
        }
        | {"SYSTEM_DISK_SIZE": Int, "SYSTEM_DISK_SIZE_USED": Int}
    ),
    "IMAGE_QUOTA>IMAGE": Many(struct({"ID": Int, "RVMS": Int, "RVMS_USED": Int})),
}
QUOTAS = struct({"ID": Int, **QUOTA_LIST})
TIMES = ("STIME", "ETIME", "PSTIME", "PETIME", "RSTIME", "RETIME", "ESTIME", "EETIME")
HISTORY = struct(
    each(Int, "OID", "SEQ", "HID", "CID", "DS_ID", "ACTION", "UID", "GID", *TIMES)
    | each(Str, "HOSTNAME", "VM_MAD", "TM_MAD", "REQUEST_ID")
)
VM_NUMBERS = (
    "LAST_POLL",
    "STATE",
    "LCM_STATE",
    "PREV_STATE",
    "PREV_LCM_STATE",
    "RESCHED",
    "STIME",
    "ETIME",
)
HUGEPAGE = struct({"PAGES": Int, "SIZE": Int, "USAGE": Int})
MEMORY = struct({"DISTANCE": Str, "TOTAL": Int, "USAGE": Int})
CORE = struct({"ID": Int, "CPUS": Str, "DEDICATED": Str, "FREE": Int})
NODE = struct({"NODE_ID": Int, "CORE": Many(CORE), "HUGEPAGE": Many(HUGEPAGE), "MEMORY": Many(MEMORY)})
SHARE_NUMBERS = ("MEM_USAGE", "CPU_USAGE", "TOTAL_MEM", "TOTAL_CPU", "MAX_MEM", "MAX_CPU", "RUNNING_VMS")
DATASTORES = struct(
    each(Int, "DISK_USAGE", "FREE_DISK", "MAX_DISK", "USED_DISK")
    | {"DS": Many(struct({"ID": Int, "TOTAL_MB": Int, "FREE_MB": Int, "USED_MB": Int}))}
)
SHARE = struct(
    each(Int, *SHARE_NUMBERS)
    | {
        "DATASTORES": DATASTORES,
        "NUMA_NODES>NODE": Many(NODE),
        "PCI_DEVICES>PCI": Many(struct({"VMID": Int, "ADDRESS": Str})),
    }
)
LEASE = struct(
    {"VM": Int, "VNET": Int, "VROUTER": Int, "MAC": Str, "IP": Str, "IP6": Str, "IP6LINK": Str}
    | {"IP6GLOBAL": Str, "IP6ULA": Str}
)
RANGE_WORDS = (
    "AR_ID",
    "GLOBAL_PREFIX",
    "IP",
    "MAC",
    "PARENT_NETWORK_AR_ID",
    "TYPE",
    "ULA_PREFIX",
    "VN_MAD",
    "MAC_END",
    "IP_END",
    "IP6",
    "IP6_END",
    "IP6_ULA",
    "IP6_ULA_END",
    "IP6_GLOBAL",
    "IP6_GLOBAL_END",
    "USED_LEASES",
    "ALLOCATED",
)
RANGE = struct(each(Str, *RANGE_WORDS) | {"SIZE": Int, "LEASES>LEASE": Many(LEASE)})
NETWORK_WORDS = ("BRIDGE", "BRIDGE_TYPE", "PARENT_NETWORK_ID", "VN_MAD", "PHYDEV", "VLAN_ID", "OUTER_VLAN_ID")
AUTOMATIC = ("VLAN_ID_AUTOMATIC", "OUTER_VLAN_ID_AUTOMATIC")
IMAGE_NUMBERS = (
    "DISK_TYPE",
    "PERSISTENT",
    "REGTIME",
    "SIZE",
    "STATE",
    "RUNNING_VMS",
    "CLONING_OPS",
    "CLONING_ID",
    "TARGET_SNAPSHOT",
    "DATASTORE_ID",
)
IMAGE_WORDS = ("TYPE", "SOURCE", "PATH", "FS", "DRIVER", "FORMAT", "DATASTORE")
ROLE = struct(
    {"ID": Int, "NAME": Str, "HOST_AFFINED": Str, "HOST_ANTI_AFFINED": Str, "POLICY": Str, "VMS": Str}
)
EXECUTION = struct(
    {"HOOK_ID": Int, "EXECUTION_ID": Int, "TIMESTAMP": Int, "ARGUMENTS": Str}
    | {"EXECUTION_RESULT": struct({"COMMAND": Str, "STDOUT": Str, "STDERR": Str, "CODE": Str})}
)
APP_NUMBERS = ("REGTIME", "ORIGIN_ID", "SIZE", "MARKETPLACE_ID", "STATE", "TYPE")
APP_WORDS = ("ZONE_ID", "SOURCE", "MD5", "DESCRIPTION", "VERSION", "FORMAT", "APPTEMPLATE64", "MARKETPLACE")
USER: Struct = {
    "ID": Int,
    "GID": Int,
    "GROUPS": IDS,
    "GNAME": Str,
    "NAME": Str,
    "PASSWORD": Str,
    "AUTH_DRIVER": Str,
    "ENABLED": Int,
    "LOGIN_TOKEN": Many(struct({"TOKEN": Str, "EXPIRATION_TIME": Int, "EGID": Int})),
    "TEMPLATE": template,
}
GROUP: Struct = {"ID": Int, "NAME": Str, "TEMPLATE": template, "USERS": IDS, "ADMINS": IDS}


def _in_zone(element: str) -> Many:
    return Many(struct({"ZONE_ID": Int, f"{element}_ID": Int}))


#: The name of a document's schema → what goca reads in it.
DOCUMENTS: dict[str, Reader] = {
    "acl": struct(
        {"ID": Int, "USER": Str, "RESOURCE": Str, "RIGHTS": Str, "ZONE": Str, "STRING": Str}, tag="ACL"
    ),
    "cluster": struct(
        {"ID": Int, "NAME": Str, "HOSTS": IDS, "DATASTORES": IDS, "VNETS": IDS, "TEMPLATE": template},
        tag="CLUSTER",
    ),
    "datastore": struct(
        each(Str, "DS_MAD", "TM_MAD", "BASE_PATH", "TYPE", "DISK_TYPE")
        | each(Int, "STATE", "TOTAL_MB", "FREE_MB", "USED_MB")
        | {**OWNED, "PERMISSIONS": PERMISSIONS, "CLUSTERS": IDS, "IMAGES": IDS, "TEMPLATE": template},
        tag="DATASTORE",
    ),
    "document": struct({**GUARDED, "TYPE": Str, "TEMPLATE": template}, tag="DOCUMENT"),
    "group": struct(
        {**GROUP, **QUOTA_LIST, "DEFAULT_GROUP_QUOTAS": struct(QUOTA_LIST)},
        tag="GROUP",
    ),
    "hook": struct(
        {
            "ID": Int,
            "NAME": Str,
            "TYPE": Str,
            "TEMPLATE": template,
            "HOOKLOG>HOOK_EXECUTION_RECORD": Many(EXECUTION),
        },
        tag="HOOK",
    ),
    "host": struct(
        each(Str, "NAME", "IM_MAD", "VM_MAD", "CLUSTER")
        | each(Int, "ID", "STATE", "CLUSTER_ID")
        | {"HOST_SHARE": SHARE, "VMS": IDS, "MONITORING": template, "TEMPLATE": template},
        tag="HOST",
    ),
    "image": struct(
        each(Int, *IMAGE_NUMBERS)
        | each(Str, *IMAGE_WORDS)
        | each(IDS, "VMS", "CLONES", "APP_CLONES")
        | {**GUARDED, "SNAPSHOTS": DISK_SNAPSHOTS, "TEMPLATE": template},
        tag="IMAGE",
    ),
    "marketplace": struct(
        each(Int, "TOTAL_MB", "FREE_MB", "USED_MB", "STATE")
        | {**OWNED, "PERMISSIONS": PERMISSIONS, "MARKET_MAD": Str, "ZONE_ID": Str}
        | {"MARKETPLACEAPPS": IDS, "TEMPLATE": template},
        tag="MARKETPLACE",
    ),
    "marketplaceapp": struct(
        each(Int, *APP_NUMBERS) | each(Str, *APP_WORDS) | {**GUARDED, "TEMPLATE": template},
        tag="MARKETPLACEAPP",
    ),
    "raftstatus": struct(
        each(Int, "SERVER_ID", "STATE", "TERM", "VOTEDFOR", "COMMIT", "LOG_INDEX", "FEDLOG_INDEX")
    ),
    "security_group": struct(
        each(IDS, "UPDATED_VMS", "OUTDATED_VMS", "UPDATING_VMS", "ERROR_VMS")
        | {**OWNED, "PERMISSIONS": PERMISSIONS, "TEMPLATE": template},
        tag="SECURITY_GROUP",
    ),
    "user": struct({**USER, **QUOTA_LIST, "DEFAULT_USER_QUOTAS": struct(QUOTA_LIST)}, tag="USER"),
    "vdc": struct(
        {
            "ID": Int,
            "NAME": Str,
            "GROUPS": IDS,
            "CLUSTERS>CLUSTER": _in_zone("CLUSTER"),
            "HOSTS>HOST": _in_zone("HOST"),
            "DATASTORES>DATASTORE": _in_zone("DATASTORE"),
            "VNETS>VNET": _in_zone("VNET"),
            "TEMPLATE": template,
        },
        tag="VDC",
    ),
    "vm": struct(
        each(Int, *VM_NUMBERS)
        | {
            **GUARDED,
            "DEPLOY_ID": Str,
            "MONITORING": template,
            "TEMPLATE": template,
            "USER_TEMPLATE": template,
            "HISTORY_RECORDS>HISTORY": Many(HISTORY),
            "SNAPSHOTS": Many(DISK_SNAPSHOTS),
        },
        tag="VM",
    ),
    "vm_group": struct({**GUARDED, "ROLES>ROLE": Many(ROLE), "TEMPLATE": template}, tag="VM_GROUP"),
    "vmtemplate": struct({**GUARDED, "REGTIME": Int, "TEMPLATE": template}, tag="VMTEMPLATE"),
    "vnet": struct(
        each(Str, *NETWORK_WORDS, *AUTOMATIC)
        | {"STATE": Int, "USED_LEASES": Int, "CLUSTERS": IDS, "VROUTERS": IDS}
        | {**GUARDED, "TEMPLATE": template, "AR_POOL>AR": Many(RANGE)},
        tag="VNET",
    ),
    "vntemplate": struct({**GUARDED, "REGTIME": Str, "TEMPLATE": template}, tag="VNTEMPLATE"),
    "vrouter": struct({**GUARDED, "VMS": IDS, "TEMPLATE": template}, tag="VROUTER"),
    "zone": struct(
        {
            "ID": Int,
            "NAME": Str,
            "TEMPLATE": struct({"ENDPOINT": Str}),
            "SERVER_POOL>SERVER": Many(struct({"ID": Int, "NAME": Str, "ENDPOINT": Str})),
        },
        tag="ZONE",
    ),
}


def _pool(kind: str) -> Reader:
    element = kind.upper()
    fields: Struct = {element: Many(DOCUMENTS[kind])}
    if kind in ("user", "group"):
        fields = {
            element: Many(struct(USER if kind == "user" else GROUP, tag=element)),
            "QUOTAS": Many(QUOTAS),
            f"DEFAULT_{element}_QUOTAS": struct(QUOTA_LIST),
        }
    return struct(fields, tag=f"{element}_POOL")


DOCUMENTS |= {f"{kind}_pool": _pool(kind) for kind in tuple(DOCUMENTS) if kind != "raftstatus"}
DOCUMENTS["monitoring"] = struct({"MONITORING": Many(template)}, tag="MONITORING_DATA")


def read(document: str, kind: str) -> dict[str, Any]:
    """The fields that goca has of a document, by their paths; `kind` as the schema is called.

    Raises UnreadableError with what goca would stumble over.
    """
    value = DOCUMENTS[kind](parse(document))
    assert isinstance(value, dict)
    return value
