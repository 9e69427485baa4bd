"""Random calls: attributes that the core knows with values that it does not expect, on objects that exist."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.compat.raw_calls import Argument, RawClient, filler

from merope.core.methods import METHODS, Method, Param, Type


@dataclass(frozen=True)
class World:
    """A user and one object of each kind that belongs to it, but for the network, which it may use."""

    user: RawClient
    uid: int
    network: int
    reservation: int
    image: int
    group: int
    template: int
    vm: int
    router: int
    machine: int
    """A VM that runs; `vm` is on hold."""

    def object_of(self, kind: str, rng: random.Random | None = None) -> int:
        known = {
            "vn": self.network,
            "image": self.image,
            "secgroup": self.group,
            "template": self.template,
            "vm": self.vm,
            "vrouter": self.router,
            "user": self.uid,
            "datastore": 1,
            "group": 1,
        }
        if kind == "vn" and rng is not None and rng.random() < 0.3:
            return self.reservation
        return known.get(kind, 0)

    def arguments(self, name: str) -> list[Argument]:
        """Arguments with which a method gets to its template."""
        method = METHODS[name]
        plain = filler(method)
        for place, param in enumerate(method.params):
            if param.name == "id":
                on_host = name == "one.vm.attach"
                plain[place] = self.machine if on_host else self.object_of(name.split(".")[1])
            elif param.type is Type.INTEGER:
                plain[place] = {"ds": 1, "cluster": 0, "type": 0}.get(param.name, 0)
            elif param.name == "name":
                plain[place] = "fresh"
        return plain


def make_world(admin: RawClient, name: str) -> World:
    for number in range(2):
        admin.call("one.host.allocate", f"node{number}", "dummy", "dummy", -1)
    uid = admin.number("one.user.allocate", name, "secret", "", [])
    user = RawClient(f"http://{admin.place.netloc}/RPC2", f"{name}:secret")
    network = admin.number(
        "one.vn.allocate",
        f"NAME={name}\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.0.0.1,SIZE=60000]\nAR=[TYPE=ETHER,SIZE=100]",
        -1,
    )
    admin.ok("one.vn.chmod", network, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    image = user.number("one.image.allocate", f"NAME={name}\nTYPE=DATABLOCK\nSIZE=10", 1)
    group = user.number(
        "one.secgroup.allocate", f"NAME={name}\nRULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND,RANGE=22]"
    )
    parts = f"CPU=0.1\nMEMORY=64\nNIC=[NETWORK_ID={network},SECURITY_GROUPS={group}]\n"
    template = user.number("one.template.allocate", f"NAME={name}\n{parts}DISK=[IMAGE_ID={image}]")
    vm = user.number("one.vm.allocate", f'{parts}CONTEXT=[A="$NAME"]', True)
    reservation = user.number("one.vn.reserve", network, f"SIZE=10\nNAME={name}-part")
    router = admin.number("one.vrouter.allocate", f"NAME={name}")
    admin.number("one.document.allocate", f"NAME={name}", 0)
    admin.number("one.vmgroup.allocate", f"NAME={name}\nROLE=[NAME=a]")
    admin.number("one.vntemplate.allocate", f"NAME={name}\nVN_MAD=dummy")
    admin.number("one.hook.allocate", f"NAME={name}\nTYPE=api\nCALL=one.vm.allocate\nCOMMAND=x")
    market = admin.number(
        "one.market.allocate", f"NAME={name}\nMARKET_MAD=http\nBASE_URL=http://localhost/\nPUBLIC_DIR=/tmp"
    )
    admin.number("one.marketapp.allocate", f"NAME={name}\nORIGIN_ID={image}", market)
    machine = user.number("one.vm.allocate", "CPU=0.1\nMEMORY=64", True)
    admin.ok("one.vm.deploy", machine, 0)
    return World(user, uid, network, reservation, image, group, template, vm, router, machine)


VECTORS = (
    "DISK NIC NIC_ALIAS NIC_DEFAULT OS CONTEXT GRAPHICS INPUT RAW FEATURES TOPOLOGY NUMA_NODE PCI AR LEASES "
    "RULE VM NETWORK IMAGE DATASTORE SNAPSHOT VMGROUP SCHED_ACTION CPU_MODEL USER_INPUTS EC2 PUBLIC_CLOUD"
).split()
OF_VM = (
    "CPU MEMORY VCPU DISK NIC NIC_ALIAS OS CONTEXT GRAPHICS RAW TOPOLOGY SCHED_REQUIREMENTS SCHED_RANK NAME "
    "IMAGE IMAGE_ID IMAGE_UID IMAGE_UNAME NETWORK NETWORK_ID NETWORK_UID SIZE TYPE FORMAT DRIVER TARGET BOOT "
    "DEV_PREFIX KERNEL_DS INITRD_DS FILES_DS SECURITY_GROUPS IP MAC PARENT NETWORK_MODE NIC_DEFAULT PORT EC2 "
    "DISK_SNAPSHOT_TOTAL_SIZE SNAPSHOT SCHED_ACTION PUBLIC_CLOUD USER_PRIORITY TOKEN NIC_ID ALIAS_IDS VMID "
    "DISK_ID AR_ID CLUSTER_ID DATASTORE_ID TM_MAD_SYSTEM ORDER SUBMIT_ON_HOLD CLONE READONLY VMGROUP"
).split()
OF_USER = (
    "VM NETWORK IMAGE DATASTORE ID CPU MEMORY SIZE LEASES RVMS VMS RUNNING_VMS UMASK API_LIST_ORDER "
    "VM_USE_OPERATIONS DEFAULT_IMAGE_PERSISTENT SSH_PUBLIC_KEY SYSTEM_DISK_SIZE IMAGES"
).split()
NAMES = {
    "vn": (
        "AR LEASES SIZE IP MAC AR_ID NETWORK_ID TYPE NAME VN_MAD BRIDGE PHYDEV VLAN_ID SECURITY_GROUPS "
        "CLUSTER_IDS GATEWAY IP6 GLOBAL_PREFIX ULA_PREFIX PREFIX_LENGTH IPAM_MAD AUTOMATIC_VLAN_ID MTU"
    ).split(),
    "vm": OF_VM,
    "template": OF_VM,
    "image": (
        "NAME TYPE SIZE PATH PERSISTENT DRIVER DEV_PREFIX TARGET FORMAT FS DISK_TYPE READONLY SOURCE MD5"
    ).split(),
    "secgroup": "NAME RULE PROTOCOL RULE_TYPE RANGE IP SIZE NETWORK_ID ICMP_TYPE".split(),
    "datastore": (
        "NAME TYPE DS_MAD TM_MAD LIMIT_MB COMPATIBLE_SYS_DS DISK_TYPE SAFE_DIRS RESTRICTED_DIRS BASE_PATH "
        "CLONE_TARGET LN_TARGET SHARED DRIVER"
    ).split(),
    "user": OF_USER,
    "group": OF_USER,
    "userquota": OF_USER,
    "groupquota": OF_USER,
    "host": "RESERVED_CPU RESERVED_MEM PIN_POLICY ISOLCPUS NAME VM_MAD".split(),
    "cluster": "RESERVED_CPU RESERVED_MEM NAME".split(),
    "market": "NAME MARKET_MAD ENDPOINT".split(),
    "zone": "NAME ENDPOINT".split(),
    "vdc": "NAME".split(),
    "vmgroup": "NAME ROLE AFFINED ANTI_AFFINED POLICY HOST_AFFINED HOST_ANTI_AFFINED ID VMS".split(),
    "hook": (
        "NAME TYPE COMMAND CALL RESOURCE ON STATE LCM_STATE REMOTE TIMEOUT ARGUMENTS ARGUMENTS_STDIN"
    ).split(),
    "vntemplate": "NAME VN_MAD BRIDGE PHYDEV VLAN_ID AR SIZE TYPE IP MAC CLUSTER_IDS SECURITY_GROUPS".split(),
    "vrouter": "NAME NIC NETWORK_ID FLOATING_IP FLOATING_ONLY IP KEEPALIVED_ID SECURITY_GROUPS".split(),
    "document": "NAME BODY".split(),
}
VALUES = [
    *("", "-1", "0", "1", "2", "10", "9" * 5000, "0" * 20 + "9" * 5000, "1e999", "inf", "-inf", "nan", "50%"),
    *("\u0663", "1_000", "1.5", ".5", "5.", "0x10", " 1", "0.0001", "2147483648", "4294967296", "9" * 20),
    *("$NAME", "$NIC[IP]", "$FILE[IMAGE=a]", "$FILE[]", "$NETWORK[TEMPLATE,NETWORK_ID=0]", "$USER[TEMPLATE]"),
    *("10.0.0.5", "10.0.0.1", "02:00:0a:00:00:05", "ff:ff:ff:ff:ff:ff", "255.255.255.255", "fe80::1", "::"),
    *("YES", "NO", "auto", "0,1,a", "1,2", ",", "disk0", "nic0,disk0", "IP4", "ETHER", "IP6", "IP6_STATIC"),
    *("TCP", "INBOUND", "fs", "swap", "raw", "qcow2", "vmdk", "kvm", "../..", "/etc/passwd", "/dev/zero"),
    *("a b", "\u202e", "x" * 3000, '"', "'", "vda", "hd", "CPU>1", "A & (", "((((", "1:65536", "dummy"),
    *("bridge", "default", "oneadmin", "http://[::1", "http://127.0.0.1:1/x", "file:///etc/passwd", "SELF"),
    *("CDROM", "OS", "FILE_DS", "SYSTEM_DS", "SYSTEM", "NONE", "PINNED", "true", "\n", "<a>", "&amp;"),
]
ACTIONS = (
    "terminate terminate-hard undeploy poweroff poweroff-hard reboot hold release stop suspend resume "
    "resched unresched delete nonsense"
).split()
#: What would take the ground from under the other calls.
_KEPT = ("host", "group", "datastore", "acl", "vdc", "cluster", "market", "zone", "user")


class Templates:
    """Makes calls from a seed."""

    def __init__(self, rng: random.Random, world: World) -> None:
        self.rng = rng
        self.world = world
        self.values = [
            *VALUES,
            str(world.image),
            str(world.network),
            str(world.group),
            f"$FILE[IMAGE_ID={world.image}]",
        ]

    def calls(self, admin: RawClient, seconds: float) -> Iterator[tuple[RawClient, str, list[Argument]]]:
        names = sorted(name for name in METHODS if not _dangerous(name))
        with_template = [name for name in names if _template_place(METHODS[name]) is not None]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            name = self.rng.choice(with_template if self.rng.random() < 0.75 else names)
            client = self.rng.choice((admin, self.world.user))
            kind = name.split(".")[1]
            yield client, name, [self.argument(kind, param) for param in METHODS[name].params]

    def argument(self, kind: str, param: Param) -> Argument:
        rng = self.rng
        if param.name in ("template", "quota", "extra") and param.type is Type.STRING:
            return self.template(kind)
        if param.type is Type.INTEGER:
            if param.name == "id" and rng.random() < 0.95:
                return self.world.object_of(kind, rng)
            return rng.choice((-2, -1, 0, 1, 2, 3, 100))
        if param.type is Type.BOOLEAN:
            return rng.random() < 0.5
        if param.type is Type.ARRAY:
            return rng.choice(([], [1], [0, 1], [100]))
        if param.name == "action":
            return rng.choice(ACTIONS)
        return f"q{rng.randrange(50)}" if param.name == "name" else rng.choice(self.values)

    def template(self, kind: str) -> str:
        rng, world = self.rng, self.world
        lines = [f"NAME=x{rng.randrange(10**9)}"] if rng.random() < 0.7 else []
        if kind in ("vm", "template") and rng.random() < 0.9:
            lines += ["CPU=0.1", "MEMORY=64", f"NIC=[NETWORK_ID={world.network},NAME=a]"]
            lines += [f"DISK=[IMAGE_ID={world.image}]"] if rng.random() < 0.5 else []
        if kind == "image" and rng.random() < 0.7:
            lines += ["TYPE=DATABLOCK", "SIZE=3"]
        if kind == "vn":
            lines += ["VN_MAD=dummy", "BRIDGE=b"] if rng.random() < 0.5 else ["SIZE=2"]
        lines += [self.attribute(kind) for _ in range(rng.randrange(1, 5))]
        return "\n".join(lines)

    def attribute(self, kind: str) -> str:
        rng = self.rng
        name = self.name(kind)
        if rng.random() < (0.85 if name in VECTORS else 0.05):
            pairs = (f"{self.name(kind)}={self.quoted()}" for _ in range(rng.randrange(1, 6)))
            return f"{name}=[{','.join(pairs)}]"
        return f"{name}={self.quoted()}"

    def name(self, kind: str) -> str:
        return self.rng.choice(NAMES.get(kind, OF_VM) if self.rng.random() < 0.85 else OF_VM)

    def quoted(self) -> str:
        return '"' + self.rng.choice(self.values).replace('"', '\\"') + '"'


def _template_place(method: Method) -> int | None:
    places = [n for n, param in enumerate(method.params) if param.name in ("template", "quota", "extra")]
    return places[0] if places else None


def _dangerous(name: str) -> bool:
    _, kind, action = name.split(".")
    if kind in ("userquota", "groupquota"):
        return action == "update"
    return kind in _KEPT and action not in ("info", "update", "rename", "allocate", "quota")
