"""Random calls: attributes that the core knows with values that it does not expect, on objects that exist."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.compat.raw_calls import Answer, Argument, filler

from merope.core.methods import METHODS, Method, Param, Type


class Client(Protocol):
    """Calls methods as a user of a cloud; RawClient is one."""

    @property
    def auth(self) -> str: ...

    def call(self, method: str, *arguments: Argument) -> Answer: ...

    def ok(self, method: str, *arguments: Argument) -> Any: ...

    def number(self, method: str, *arguments: Argument) -> int: ...

    def of(self, name: str, secret: str, uid: int) -> "Client": ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class World:
    """A user and one object of each kind that belongs to it, but for the network, which it may use."""

    user: Client
    uid: int
    network: int
    reservation: int
    image: int
    group: int
    template: int
    vm: int
    router: int
    machine: int
    """A VM that runs, with all that a VM can have; `vm` is on hold."""
    off: int = -1
    """Such a VM too; it is told to be powered off."""
    others: dict[str, int] = field(default_factory=dict)
    """Of kinds of which it has one and nothing else needs it."""

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
            **self.others,
        }
        if kind == "image" and rng is not None and rng.random() < 0.5:
            return self.others["spare"]
        if kind == "vm" and rng is not None:
            return rng.choice((self.vm, self.machine, self.machine, self.off))
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


def _restore(admin: Client) -> None:
    """What the calls have changed of what is there once, and a new world needs."""
    unlimited = "VMS CPU MEMORY SYSTEM_DISK_SIZE RUNNING_VMS RUNNING_CPU RUNNING_MEMORY".split()
    limits = ",".join(f"{name}=-2" for name in unlimited)
    admin.call("one.group.quota", 1, f"VM=[{limits}]\nDATASTORE=[ID=1,IMAGES=-2,SIZE=-2]")
    admin.call("one.datastore.update", 1, "TYPE=IMAGE_DS\nDS_MAD=dummy\nTM_MAD=dummy", 0)
    admin.call("one.datastore.update", 0, "TYPE=SYSTEM_DS\nTM_MAD=dummy", 0)


def make_hosts(admin: Client) -> None:
    for number in range(2):
        admin.call("one.host.allocate", f"node{number}", "dummy", "dummy", -1)


def make_world(admin: Client, name: str, settle: Callable[[], object] = lambda: None) -> World:
    """Everything anew, under that name; `settle` lets what was begun end, as far as that takes no time."""
    _restore(admin)
    make_hosts(admin)
    uid = admin.number("one.user.allocate", name, "secret", "", [])
    user = admin.of(name, "secret", uid)
    network = admin.number(
        "one.vn.allocate",
        f"NAME={name}\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.0.0.1,SIZE=60000]\n"
        "AR=[TYPE=ETHER,SIZE=100]",
        -1,
    )
    admin.ok("one.vn.chmod", network, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    image = user.number("one.image.allocate", f"NAME={name}\nTYPE=DATABLOCK\nSIZE=10", 1)
    group = user.number(
        "one.secgroup.allocate", f"NAME={name}\nRULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND,RANGE=22]"
    )
    settle()
    roles = admin.number("one.vmgroup.allocate", f'NAME={name}\nROLE=[NAME=a]\nROLE=[NAME=b]\nAFFINED="a,b"')
    admin.ok("one.vmgroup.chmod", roles, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    bare = f"CPU=0.1\nMEMORY=64\nNIC=[NETWORK_ID={network},SECURITY_GROUPS={group}]\n"
    parts = (
        f"{bare}VMGROUP=[VMGROUP_ID={roles},ROLE=a]\nDISK=[IMAGE_ID={image}]\nDISK=[TYPE=fs,SIZE=5]\n"
        f"NIC=[NETWORK_ID={network},NAME=x]\nNIC_ALIAS=[NETWORK_ID={network},PARENT=x]\n"
        'SCHED_ACTION=[ACTION=snapshot-create,TIME="+36000",ARGS=s]\n'
        'CONTEXT=[A="$NAME",PASSWORD=hush,NETWORK=YES]\n'
    )
    template = user.number("one.template.allocate", f"NAME={name}\n{parts}")
    vm = user.number("one.vm.allocate", f'{bare}CONTEXT=[A="$NAME"]', True)
    reservation = user.number("one.vn.reserve", network, f"SIZE=10\nNAME={name}-part")
    router = admin.number("one.vrouter.allocate", f"NAME={name}\nNIC=[NETWORK_ID={network},FLOATING_IP=YES]")
    market = admin.number(
        "one.market.allocate", f"NAME={name}\nMARKET_MAD=http\nBASE_URL=http://localhost/\nPUBLIC_DIR=/tmp"
    )
    others = {
        "spare": user.number("one.image.allocate", f"NAME={name}-spare\nTYPE=DATABLOCK\nSIZE=10", 1),
        "document": user.number("one.document.allocate", f"NAME={name}", 100),
        "vmgroup": roles,
        "vntemplate": admin.number("one.vntemplate.allocate", f"NAME={name}\nVN_MAD=dummy\nBRIDGE=b"),
        "hook": admin.number("one.hook.allocate", f"NAME={name}\nTYPE=api\nCALL=one.vm.allocate\nCOMMAND=x"),
        "market": market,
        "marketapp": admin.number("one.marketapp.allocate", f"NAME={name}\nORIGIN_ID={image}", market),
        "cluster": 0,
        "router_template": admin.number(
            "one.template.allocate", f"NAME={name}-r\nCPU=0.1\nMEMORY=16\nVROUTER=YES"
        ),
    }
    machine, off = (user.number("one.vm.allocate", parts, True) for _ in range(2))
    for made in (machine, off):
        admin.ok("one.vm.deploy", made, 0)
    settle()
    _furnish(user, machine, settle)
    user.call("one.vm.action", "poweroff", off)
    settle()
    return World(user, uid, network, reservation, image, group, template, vm, router, machine, off, others)


def _furnish(user: Client, vm: int, settle: Callable[[], object]) -> None:
    """Gives the VM snapshots; where it is still on its way, it has none."""
    for _ in range(2):
        user.call("one.vm.snapshotcreate", vm, "s")
        settle()
        user.call("one.vm.disksnapshotcreate", vm, 0, "d")
        settle()


VECTORS = (
    "DISK NIC NIC_ALIAS NIC_DEFAULT OS CONTEXT GRAPHICS INPUT RAW FEATURES TOPOLOGY NUMA_NODE PCI AR LEASES "
    "RULE VM NETWORK IMAGE DATASTORE SNAPSHOT VMGROUP SCHED_ACTION CPU_MODEL USER_INPUTS EC2 PUBLIC_CLOUD "
    "ROLE PROVISION BACKEND"
).split()
OF_VM = (
    "CPU MEMORY VCPU DISK NIC NIC_ALIAS OS CONTEXT GRAPHICS RAW TOPOLOGY SCHED_REQUIREMENTS SCHED_RANK NAME "
    "IMAGE IMAGE_ID IMAGE_UID IMAGE_UNAME NETWORK NETWORK_ID NETWORK_UID SIZE TYPE FORMAT DRIVER TARGET BOOT "
    "DEV_PREFIX KERNEL_DS INITRD_DS FILES_DS SECURITY_GROUPS IP MAC PARENT NETWORK_MODE NIC_DEFAULT PORT EC2 "
    "DISK_SNAPSHOT_TOTAL_SIZE SNAPSHOT SCHED_ACTION PUBLIC_CLOUD USER_PRIORITY TOKEN NIC_ID ALIAS_IDS VMID "
    "DISK_ID AR_ID CLUSTER_ID DATASTORE_ID TM_MAD_SYSTEM ORDER SUBMIT_ON_HOLD CLONE READONLY VMGROUP "
    "ACTION TIME REPEAT DAYS END_TYPE END_VALUE ARGS ID VMGROUP_ID ROLE PASSWORD SCHED_ACTION PERSISTENT "
    "USER_INPUTS AS_GID AS_UID VROUTER FILES START_SCRIPT START_SCRIPT_BASE64 TOKEN REPORT_READY "
    "NUMA_NODE PCI SOCKETS CORES THREADS PIN_POLICY NODE_AFFINITY MEMORY_COST CPU_COST DISK_COST HYPERVISOR "
    "LXD_PROFILE MEMORY_UNIT_COST DEPLOY_ID IMPORT_STATE FLOATING_IP FLOATING_ONLY INHERIT_SNAPSHOT_VOLATILE"
).split()
OF_USER = (
    "VM NETWORK IMAGE DATASTORE ID CPU MEMORY SIZE LEASES RVMS VMS RUNNING_VMS UMASK API_LIST_ORDER "
    "VM_USE_OPERATIONS DEFAULT_IMAGE_PERSISTENT SSH_PUBLIC_KEY SYSTEM_DISK_SIZE IMAGES"
).split()
NAMES = {
    "vn": (
        "AR LEASES SIZE IP MAC AR_ID NETWORK_ID TYPE NAME VN_MAD BRIDGE PHYDEV VLAN_ID SECURITY_GROUPS "
        "PACKET_TOKEN CLUSTER_IDS GATEWAY IP6 GLOBAL_PREFIX ULA_PREFIX PREFIX_LENGTH IPAM_MAD "
        "AUTOMATIC_VLAN_ID MTU"
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
    "cluster": "RESERVED_CPU RESERVED_MEM NAME PROVISION PACKET_TOKEN".split(),
    "market": "NAME MARKET_MAD ENDPOINT BASE_URL PUBLIC_DIR BRIDGE_LIST".split(),
    "marketapp": (
        "NAME ORIGIN_ID TYPE DESCRIPTION VERSION SIZE FORMAT IMPORT_ID MD5 SOURCE APPTEMPLATE64 APP_ID "
        "STATE MARKET_ID"
    ).split(),
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
    *("terminate", "snapshot-create", "+60", "-60", "1700000000", "0,1,7", "1,2,3,4,5,6,7", "28,29,30,31"),
    *("a,b", "kvm,qemu", "in_sync", "hush", "aHVzaA==", "qcow2,raw", "nic0", "x", "vnc", "host-passthrough"),
    *("<a><b>c</b></a>", "<![CDATA[", "&#0;", "&lt;", "a=b,c=d", "A=[B=C]", "2:1", "1-4,6", "@", "%", "*"),
    *("CDROM", "OS", "FILE_DS", "SYSTEM_DS", "SYSTEM", "NONE", "PINNED", "true", "\n", "<a>", "&amp;"),
]
STATEMENTS = (
    "SELECT body FROM vm_pool",
    "SELECT oid, name FROM user_pool WHERE name LIKE '%a%'",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT COUNT(*) FROM n",
    "SELECT a.body FROM vm_pool a, vm_pool b, vm_pool c",
    "UPDATE vm_pool SET body = REPLACE(body, '<STATE>', '<STATE>1')",
    "UPDATE user_pool SET body = REPLACE(body, '<NAME>', '<NAME>x') WHERE oid > 1",
    "UPDATE vm_pool SET body = '<VM><ID>0</ID></VM>'",
    "INSERT INTO vm_showback VALUES (0, 2026, 1, '<a>')",
    "INSERT INTO hook_log VALUES (0, 0, 0, 0, '<')",
    "INSERT INTO history SELECT * FROM history",
    "DELETE FROM history",
    "UPDATE history SET body = 'x'",
    "DELETE FROM user_quotas",
    "UPDATE system_attributes SET body = ''",
    "ATTACH 'x' AS y",
    "PRAGMA user_version = 1",
    "SELECT load_extension('/x')",
)
ACTIONS = (
    "terminate terminate-hard undeploy poweroff poweroff-hard reboot hold release stop suspend resume "
    "resched unresched delete nonsense"
).split()
MODES = {f"{who}_{bit}" for who in ("owner", "group", "other") for bit in "uma"}
#: Method or kind → templates that it takes, to be added to.
BASES = {
    "image": ("TYPE=DATABLOCK\nSIZE=3",),
    "vn": ("VN_MAD=dummy\nBRIDGE=b",),
    "vntemplate": ("VN_MAD=dummy\nBRIDGE=b",),
    "one.vn.hold": ("LEASES=[IP=10.0.0.1%(number)d]", "LEASES=[MAC=02:00:0a:00:00:1%(number)d,AR_ID=1]"),
    "one.vn.release": ("LEASES=[IP=10.0.0.1%(number)d]",),
    "one.vn.add_ar": ("AR=[TYPE=IP4,IP=10.9.0.1,SIZE=1%(number)d]", "AR=[TYPE=ETHER,SIZE=2,IPAM_MAD=dummy]"),
    "one.vn.update_ar": ("AR=[AR_ID=0,SIZE=60001]", "AR=[AR_ID=1,COLOUR=red]"),
    "hook": (
        "TYPE=api\nCALL=one.vm.allocate\nCOMMAND=x",
        "TYPE=state\nRESOURCE=VM\nON=RUNNING\nCOMMAND=x",
        "TYPE=state\nRESOURCE=HOST\nSTATE=ERROR\nCOMMAND=x",
    ),
    "market": ("MARKET_MAD=http\nBASE_URL=http://localhost/\nPUBLIC_DIR=/tmp",),
    "marketapp": ("ORIGIN_ID=%(image)d", "ORIGIN_ID=%(image)d\nTYPE=VMTEMPLATE"),
    "datastore": ("DS_MAD=dummy\nTM_MAD=dummy", "TYPE=SYSTEM_DS\nTM_MAD=dummy"),
    "vmgroup": (
        'ROLE=[NAME=a]\nROLE=[NAME=b%(number)d]\nAFFINED="a,b%(number)d"',
        "ROLE=[NAME=a,POLICY=AFFINED]",
    ),
    "vrouter": ("NIC=[NETWORK_ID=%(network)d]", "NIC=[NETWORK_ID=%(network)d,FLOATING_IP=YES]"),
    "secgroup": ("RULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND,RANGE=22]",),
    "one.vm.attach": ("DISK=[IMAGE_ID=%(image)d]", "DISK=[TYPE=fs,SIZE=2]"),
    "one.vm.attachnic": ("NIC=[NETWORK_ID=%(network)d]", "NIC_ALIAS=[NETWORK_ID=%(network)d,PARENT=NIC0]"),
    "one.vm.resize": ("CPU=0.%(number)d\nMEMORY=2%(number)d",),
    "one.vm.updateconf": ("CONTEXT=[A=b]", "GRAPHICS=[TYPE=VNC]", 'OS=[BOOT="disk0"]'),
}
#: Parameter → the kind that it is of.
_REFERENCES = {
    "uid": "user",
    "user": "user",
    "gid": "group",
    "market": "market",
    "ds": "datastore",
    "vnet": "vn",
    "template": "router_template",
    "hook": "hook",
    "host": "host",
}
#: What would take the ground from under the other calls.
_KEPT = ("host", "group", "datastore", "acl", "vdc", "cluster", "market", "zone", "user")


class Templates:
    """Makes calls from a seed."""

    def __init__(self, rng: random.Random, world: World) -> None:
        self.rng = rng
        self.settle_in(world)

    def settle_in(self, world: World) -> None:
        """Calls are from now on about the objects of this world."""
        self.world = world
        self.values = [
            *VALUES,
            str(world.image),
            str(world.network),
            str(world.group),
            *(str(oid) for oid in world.others.values()),
            f"$FILE[IMAGE_ID={world.image}]",
        ]

    def calls(
        self, admin: Client, enough: Callable[[], bool]
    ) -> Iterator[tuple[Client, str, list[Argument]]]:
        names = sorted(name for name in METHODS if not _dangerous(name))
        with_template = [name for name in names if _template_place(METHODS[name]) is not None]
        while not enough():
            name = self.rng.choice(with_template if self.rng.random() < 0.5 else names)
            client = self.rng.choice((admin, self.world.user))
            yield client, name, [self.argument(name, param) for param in METHODS[name].params]

    def argument(self, method: str, param: Param) -> Argument:
        rng, kind = self.rng, method.split(".")[1]
        if param.name in ("template", "quota", "extra") and param.type is Type.STRING:
            return self.template(method)
        if param.name == "size":
            return rng.choice(("20", "4097", *self.values))
        if param.type is Type.INTEGER:
            if param.name in ("disk", "snapshot", "nic", "ar", "type", "op") or param.name in MODES:
                return rng.choice((-1, 0, 0, 1, 1, 2) if rng.random() < 0.9 else (-2, 5, 100))
            if param.name in ("id", "zone") and rng.random() < 0.95:
                return self.world.object_of(kind if param.name == "id" else "zone", rng)
            if param.name in _REFERENCES and rng.random() < 0.6:
                return self.world.object_of(_REFERENCES[param.name], rng)
            return rng.choice((-2, -1, 0, 1, 2, 3, 100))
        if param.type is Type.BOOLEAN:
            return rng.random() < 0.5
        if param.type is Type.ARRAY:
            return rng.choice(([], [1], [0, 1], [100]))
        if param.name == "action":
            return rng.choice(ACTIONS)
        if param.name == "sql" and kind == "system":
            reading = [text for text in STATEMENTS if text.startswith(("SELECT", "WITH"))]
            return rng.choice(reading if rng.random() < 0.5 else STATEMENTS)
        if param.name == "xml":
            return f"<{kind.upper()}><ID>{rng.choice(self.values)}</ID></{kind.upper()}>"
        return f"q{rng.randrange(50)}" if param.name == "name" else rng.choice(self.values)

    def template(self, method: str) -> str:
        rng, world, kind = self.rng, self.world, method.split(".")[1]
        lines = [f"NAME=x{rng.randrange(10**9)}"] if rng.random() < 0.7 else []
        if kind in ("vm", "template") and rng.random() < 0.9:
            lines += ["CPU=0.1", "MEMORY=64", f"NIC=[NETWORK_ID={world.network},NAME=a]"]
            lines += [f"DISK=[IMAGE_ID={world.image}]"] if rng.random() < 0.5 else []
        if kind == "vn":
            lines += ["SIZE=2"] if rng.random() < 0.5 else []
        base = BASES.get(method, BASES.get(kind, ()))
        if base and rng.random() < 0.6:
            names = {"network": world.network, "image": world.others["spare"], "number": rng.randrange(9)}
            lines.append(rng.choice(base) % names)
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
