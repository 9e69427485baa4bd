# ruff: noqa: E501, RUF005 - documents are written as they are: in one line
"""A cloud as OpenNebula 5.12.0 leaves it in its database, written by hand from the layout and the outlines.

Nothing of the code under test makes any of it: tables are those of the layout's facts, documents are texts.
As the original writes them, empty collections are two tags. The cloud: user ann has a running VM (two
records of history), one that is powered off, one that is done and one that waits; oneadmin has one that was
on its way to a host when the daemon ended.
"""

from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

SHARED = Path(__file__).resolve().parents[3] / "shared"
BORN = 1_795_226_169
Rows = dict[str, list[tuple[object, ...]]]

_EMPTY_QUOTAS = "".join(f"<{k}_QUOTA></{k}_QUOTA>" for k in ("DATASTORE", "NETWORK", "VM", "IMAGE"))
#: Owners in the leases of a network: type of the object, and its id.
_VM, _NET, _ROUTER = 1 << 36, 1 << 40, 1 << 50


def statements(kind: str = "sqlite") -> list[str]:
    """What makes the tables in 5.12."""
    made = []
    for name, table in _layout()["tables"].items():
        if "columns" in table:
            columns = [f"{column} {type_}" for column, type_ in table["columns"].items()]
            keys = list(table.get("keys", []))
            if kind == "mysql" and name == "vm_pool":
                keys.append("FULLTEXT ftidx(search_token)")
            made.append(f"CREATE TABLE {name} ({', '.join([*columns, *keys])})")
    return made


def is_known() -> bool:
    return (SHARED / "spec" / "db.yaml").exists()


def _layout() -> dict[str, Any]:
    layout: dict[str, Any] = yaml.safe_load((SHARED / "spec" / "db.yaml").read_text())
    return layout


def text(name: str, value: object) -> str:
    return f"<{name}><![CDATA[{value}]]></{name}>"


def template(**attributes: object) -> str:
    inside = "".join(
        f"<{n}>{''.join(text(k, v) for k, v in sorted(a.items()))}</{n}>"
        if isinstance(a, dict)
        else text(n, a)
        for n, value in sorted(attributes.items())
        for a in (value if isinstance(value, list) else [value])
    )
    return f"<TEMPLATE>{inside}</TEMPLATE>"


def ids(name: str, *numbers: int) -> str:
    return f"<{name}>{''.join(f'<ID>{number}</ID>' for number in numbers)}</{name}>"


def owner(uid: int, gid: int = -1) -> str:
    group = gid if gid >= 0 else int(uid == 2)
    return f"<UID>{uid}</UID><GID>{group}</GID><UNAME>{_USERS[uid]}</UNAME><GNAME>{_GROUPS[group]}</GNAME>"


_USERS = {0: "oneadmin", 1: "serveradmin", 2: "ann"}
_GROUPS = {0: "oneadmin", 1: "users", 100: "web"}


def permissions(octal: str = "600") -> str:
    parts = zip(("OWNER", "GROUP", "OTHER"), octal, strict=True)
    return (
        "<PERMISSIONS>"
        + "".join(
            f"<{who}_{right}>{int(digit) >> shift & 1}</{who}_{right}>"
            for who, digit in parts
            for right, shift in (("U", 2), ("M", 1), ("A", 0))
        )
        + "</PERMISSIONS>"
    )


def head(oid: int, name: str, uid: int = 0) -> str:
    return f"<ID>{oid}</ID>{owner(uid)}<NAME>{name}</NAME>"


# Objects of the administrator


def user(oid: int, gids: tuple[int, ...], password: str, driver: str = "core", **attributes: object) -> str:
    return (
        f"<USER><ID>{oid}</ID><GID>{gids[0]}</GID>{ids('GROUPS', *gids)}<GNAME>{_GROUPS[gids[0]]}</GNAME>"
        f"<NAME>{_USERS[oid]}</NAME>{text('PASSWORD', password)}{text('AUTH_DRIVER', driver)}<ENABLED>1</ENABLED>"
        f"{template(TOKEN_PASSWORD='4d0aa81dd5930eb2', **attributes)}</USER>"
    )


def group(oid: int, *members: int) -> str:
    return (
        f"<GROUP><ID>{oid}</ID><NAME>{_GROUPS[oid]}</NAME><TEMPLATE></TEMPLATE>{ids('USERS', *members)}"
        "<ADMINS></ADMINS></GROUP>"
    )


def host(oid: int, vms: tuple[int, ...], cpu: int, memory: int) -> str:
    store = {"DISK_USAGE": 0, "FREE_DISK": 2038280, "MAX_DISK": 2048000, "USED_DISK": 9720}
    attributes = {"ARCH": "x86_64", "HOSTNAME": f"node{oid}", "HYPERVISOR": "dummy", "IM_MAD": "dummy"}
    return (
        f"<HOST><ID>{oid}</ID><NAME>node{oid}</NAME><STATE>2</STATE><PREV_STATE>2</PREV_STATE>"
        f"{text('IM_MAD', 'dummy')}{text('VM_MAD', 'dummy')}<CLUSTER_ID>0</CLUSTER_ID><CLUSTER>default</CLUSTER>"
        f"<HOST_SHARE><MEM_USAGE>{memory}</MEM_USAGE><CPU_USAGE>{cpu}</CPU_USAGE><TOTAL_MEM>16777216</TOTAL_MEM>"
        f"<TOTAL_CPU>800</TOTAL_CPU><MAX_MEM>16777216</MAX_MEM><MAX_CPU>800</MAX_CPU>"
        f"<RUNNING_VMS>{len(vms)}</RUNNING_VMS><VMS_THREAD>1</VMS_THREAD>"
        f"<DATASTORES>{''.join(text(k, v) for k, v in store.items())}</DATASTORES><PCI_DEVICES></PCI_DEVICES>"
        f"<NUMA_NODES></NUMA_NODES></HOST_SHARE>{ids('VMS', *vms)}"
        f"{template(RESERVED_CPU='', RESERVED_MEM='', VM_MAD='dummy', **attributes)}<MONITORING></MONITORING></HOST>"
    )


def datastore(oid: int, name: str, type_: int, *images: int) -> str:
    kind = ("IMAGE_DS", "SYSTEM_DS", "FILE_DS")[type_]
    mad = "-" if type_ == 1 else "dummy"
    return (
        f"<DATASTORE>{head(oid, name)}{permissions('640')}{text('DS_MAD', mad)}{text('TM_MAD', 'dummy')}"
        f"{text('BASE_PATH', f'/var/lib/one//datastores/{oid}')}<TYPE>{type_}</TYPE><DISK_TYPE>0</DISK_TYPE>"
        f"<STATE>0</STATE>{ids('CLUSTERS', 0)}<TOTAL_MB>20480</TOTAL_MB><FREE_MB>20480</FREE_MB>"
        f"<USED_MB>9720</USED_MB>{ids('IMAGES', *images)}{template(TM_MAD='dummy', TYPE=kind)}</DATASTORE>"
    )


def security_group(*vms: int) -> str:
    rules = [{"PROTOCOL": "ALL", "RULE_TYPE": way} for way in ("OUTBOUND", "INBOUND")]
    return (
        f"<SECURITY_GROUP>{head(0, 'default')}{permissions('644')}{ids('UPDATED_VMS', *vms)}"
        "<OUTDATED_VMS></OUTDATED_VMS><UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>"
        f"{template(RULE=rules)}</SECURITY_GROUP>"
    )


# Images and networks

_NO_SNAPSHOTS = f"<SNAPSHOTS>{text('ALLOW_ORPHANS', 'NO')}{text('CURRENT_BASE', -1)}{text('NEXT_SNAPSHOT', 0)}</SNAPSHOTS>"


def image(oid: int, name: str, state: int, size: int, *vms: int, uid: int = 2, persistent: int = 0) -> str:
    return (
        f"<IMAGE>{head(oid, name, uid)}{permissions()}<TYPE>0</TYPE><DISK_TYPE>0</DISK_TYPE>"
        f"<PERSISTENT>{persistent}</PERSISTENT><REGTIME>{BORN}</REGTIME>{text('SOURCE', f'/datastores/1/{oid}')}"
        f"{text('PATH', '')}{text('FSTYPE', 'raw')}<SIZE>{size}</SIZE><STATE>{state}</STATE>"
        f"<RUNNING_VMS>{len(vms)}</RUNNING_VMS><CLONING_OPS>0</CLONING_OPS><CLONING_ID>-1</CLONING_ID>"
        f"<TARGET_SNAPSHOT>-1</TARGET_SNAPSHOT><DATASTORE_ID>1</DATASTORE_ID><DATASTORE>default</DATASTORE>"
        f"{ids('VMS', *vms)}<CLONES></CLONES><APP_CLONES></APP_CLONES>"
        f"{template(DESCRIPTION='a <small> disk & more: ü', DEV_PREFIX='sd')}{_NO_SNAPSHOTS}</IMAGE>"
    )


def address_range(leases: dict[int, int], size: int, parent: bool = False, **ends: str) -> str:
    attributes: dict[str, object] = {"AR_ID": 0, "SIZE": size, "TYPE": "IP4"}
    attributes |= {"IP": "10.1.0.10", "MAC": "02:00:0a:01:00:0a"}
    if parent:
        attributes["PARENT_NETWORK_AR_ID"] = 0
    if leases:
        attributes["ALLOCATED"] = "".join(f" {index} {packed}" for index, packed in sorted(leases.items()))
    inside = "".join(text(name, value) for name, value in sorted(attributes.items()))
    return f"<AR>{inside}</AR>"


def network(
    oid: int, name: str, range_: str, used: int, parent: str = "", uid: int = 0, routers: tuple[int, ...] = ()
) -> str:
    same = {"BRIDGE": "br0", "BRIDGE_TYPE": "linux", "PHYDEV": "", "SECURITY_GROUPS": 0, "VN_MAD": "dummy"}
    return (
        f"<VNET>{head(oid, name, uid)}{permissions('640')}{ids('CLUSTERS', 0)}{text('BRIDGE', 'br0')}"
        f"{text('BRIDGE_TYPE', 'linux')}<PARENT_NETWORK_ID>{parent}</PARENT_NETWORK_ID>{text('VN_MAD', 'dummy')}"
        "<PHYDEV></PHYDEV><VLAN_ID></VLAN_ID><OUTER_VLAN_ID></OUTER_VLAN_ID>"
        "<VLAN_ID_AUTOMATIC>0</VLAN_ID_AUTOMATIC><OUTER_VLAN_ID_AUTOMATIC>0</OUTER_VLAN_ID_AUTOMATIC>"
        f"<USED_LEASES>{used}</USED_LEASES>{ids('VROUTERS', *routers)}{template(**same)}"
        f"<AR_POOL>{range_}</AR_POOL></VNET>"
    )


# Virtual machines


def record(
    vm: int, seq: int, hid: int, start: int, end: int = 0, running: bool = True, more: str = ""
) -> str:
    stop = end if running else 0
    action = 2 if end else 0
    return (
        f"<HISTORY><OID>{vm}</OID><SEQ>{seq}</SEQ><HOSTNAME>node{hid}</HOSTNAME><HID>{hid}</HID><CID>0</CID>"
        f"<STIME>{start}</STIME><ETIME>{end}</ETIME>{text('VM_MAD', 'dummy')}{text('TM_MAD', 'dummy')}"
        f"<DS_ID>0</DS_ID><PSTIME>{start}</PSTIME><PETIME>{start if running else 0}</PETIME>"
        f"<RSTIME>{start if running else 0}</RSTIME><RETIME>{stop}</RETIME><ESTIME>0</ESTIME><EETIME>0</EETIME>"
        f"<ACTION>{action}</ACTION><UID>0</UID><GID>0</GID><REQUEST_ID>9760</REQUEST_ID>{more}</HISTORY>"
    )


def disk(image_id: int, size: int, persistent: bool = False) -> dict[str, object]:
    more = {"PERSISTENT": "YES"} if persistent else {}
    return {
        "CLONE": "NO" if persistent else "YES",
        "CLONE_TARGET": "SYSTEM",
        "DATASTORE": "default",
        "DATASTORE_ID": 1,
        "DISK_ID": 0,
        "IMAGE": ("disk", "data")[image_id],
        "IMAGE_ID": image_id,
        "LN_TARGET": "NONE",
        "SIZE": size,
        "SOURCE": f"/datastores/1/{image_id}",
        "TARGET": "sda",
        "TM_MAD": "dummy",
        "TYPE": "FILE",
        **more,
    }


def nic(vm: int, index: int) -> dict[str, object]:
    return {
        "AR_ID": 0,
        "BRIDGE": "br0",
        "IP": f"10.1.0.{10 + index}",
        "MAC": f"02:00:0a:01:00:{10 + index:02x}",
        "NAME": "NIC0",
        "NETWORK": "private",
        "NETWORK_ID": 0,
        "NIC_ID": 0,
        "SECURITY_GROUPS": 0,
        "TARGET": f"one-{vm}-0",
        "VN_MAD": "dummy",
    }


def vm(
    oid: int, state: int, lcm: int, records: str = "", uid: int = 2, etime: int = 0, **attributes: object
) -> str:
    return (
        f"<VM>{head(oid, f'vm-{oid}', uid)}{permissions()}<LAST_POLL>0</LAST_POLL><STATE>{state}</STATE>"
        f"<LCM_STATE>{lcm}</LCM_STATE><PREV_STATE>{state}</PREV_STATE><PREV_LCM_STATE>{lcm}</PREV_LCM_STATE>"
        f"<RESCHED>0</RESCHED><STIME>{BORN + oid}</STIME><ETIME>{etime}</ETIME>"
        f"<DEPLOY_ID>{f'node1:vm-{oid}:dummy' if records else ''}</DEPLOY_ID><MONITORING></MONITORING>"
        f"{template(CPU=0.5, MEMORY=256, VMID=oid, **attributes)}<USER_TEMPLATE>{text('LABELS', 'web')}"
        f"</USER_TEMPLATE><HISTORY_RECORDS>{records}</HISTORY_RECORDS></VM>"
    )


RUNNING = vm(
    0, 3, 3, record(0, 1, 1, BORN + 100), DISK=disk(0, 64), NIC=nic(0, 3), GRAPHICS={"PORT": 5900, "TYPE": "VNC"},
    SECURITY_GROUP_RULE=[
        {"PROTOCOL": "ALL", "RULE_TYPE": way, "SECURITY_GROUP_ID": 0, "SECURITY_GROUP_NAME": "default"}
        for way in ("OUTBOUND", "INBOUND")
    ],
)  # fmt: skip
POWERED_OFF = vm(
    1, 8, 0, record(1, 0, 0, BORN + 5, BORN + 50), DISK=disk(1, 100, persistent=True), NIC=nic(1, 4)
)
DONE = vm(2, 6, 0, record(2, 0, 0, BORN + 6, BORN + 60), etime=BORN + 60)
PENDING = vm(3, 1, 0)
PROLOG = vm(4, 3, 1, record(4, 0, 0, BORN + 7, running=False), uid=0)
VMS = {0: RUNNING, 1: POWERED_OFF, 2: DONE, 3: PENDING, 4: PROLOG}


def _quotas(oid: int, tag: str = "QUOTAS") -> str:
    """Those of ann and of her group: a limit on VMs, everything else only counted."""
    names = "CPU MEMORY RUNNING_CPU RUNNING_MEMORY RUNNING_VMS SYSTEM_DISK_SIZE VMS".split()
    used = dict(zip(names, ("1.50", 768, 1, 512, 2, 64, 3), strict=True))
    limit = {**dict.fromkeys(names, "-1"), "VMS": "10", "CPU": "-2"}
    inside = "".join(text(name, limit[name]) + text(f"{name}_USED", used[name]) for name in names)
    images = "".join(
        f"<IMAGE>{text('ID', i)}{text('RVMS', -1)}{text('RVMS_USED', 1)}</IMAGE>" for i in (0, 1)
    )
    return (
        f"<{tag}><ID>{oid}</ID><DATASTORE_QUOTA><DATASTORE>{text('ID', 1)}{text('IMAGES', -1)}"
        f"{text('IMAGES_USED', 2)}{text('SIZE', -1)}{text('SIZE_USED', 164)}</DATASTORE></DATASTORE_QUOTA>"
        f"<NETWORK_QUOTA><NETWORK>{text('ID', 0)}{text('LEASES', 8)}{text('LEASES_USED', 2)}</NETWORK></NETWORK_QUOTA>"
        f"<VM_QUOTA><VM>{inside}</VM></VM_QUOTA><IMAGE_QUOTA>{images}</IMAGE_QUOTA></{tag}>"
    )


def _pool(
    body: str, oid: int, name: str, uid: int = 0, octal: str = "600", *more: object
) -> tuple[object, ...]:
    bits = [int(digit) >> 2 & 1 for digit in octal]
    return (oid, name, body, uid, int(uid == 2), *bits, *more)


def _plain(body: str, oid: int, name: str) -> tuple[object, ...]:
    """What has no owner."""
    return (oid, name, body, 0, 0, 1, 0, 0)


_SHORT_DISK = (
    "DISK_ID DATASTORE DATASTORE_ID IMAGE IMAGE_ID SIZE TYPE CLONE CLONE_TARGET LN_TARGET "
    "DISK_SNAPSHOT_TOTAL_SIZE"
).split()
_SHORT_NIC = "IP MAC NETWORK NETWORK_ID NIC_ID SECURITY_GROUPS".split()


def _short(oid: int, state: int, lcm: int, *, uid: int = 2, etime: int = 0, **more: Any) -> str:
    """What lists of VMs show: some elements, in another order."""
    inside = ""
    if "disk" in more:
        inside += f"<DISK>{''.join(text(k, more['disk'].get(k, '')) for k in _SHORT_DISK)}</DISK>"
    if "nic" in more:
        inside += f"<NIC>{''.join(text(k, more['nic'][k]) for k in _SHORT_NIC)}</NIC>"
    inside += more.get("graphics", "")
    records = ""
    if "hid" in more:
        records = (
            f"<HISTORY><OID>{oid}</OID><SEQ>{more.get('seq', 0)}</SEQ>{text('HOSTNAME', 'node' + str(more['hid']))}"
            f"<HID>{more['hid']}</HID><CID>0</CID><DS_ID>0</DS_ID>{text('ACTION', more.get('action', 0))}</HISTORY>"
        )
    return (
        f"<VM>{head(oid, f'vm-{oid}', uid)}<LAST_POLL>0</LAST_POLL><STATE>{state}</STATE>"
        f"<LCM_STATE>{lcm}</LCM_STATE><RESCHED>0</RESCHED><STIME>{BORN + oid}</STIME><ETIME>{etime}</ETIME>"
        f"<DEPLOY_ID>{f'node1:vm-{oid}:dummy' if records else ''}</DEPLOY_ID>"
        f"<TEMPLATE><CPU>0.5</CPU><MEMORY>256</MEMORY>{inside}</TEMPLATE><MONITORING></MONITORING>"
        f"<USER_TEMPLATE>{text('LABELS', 'web')}</USER_TEMPLATE><HISTORY_RECORDS>{records}</HISTORY_RECORDS></VM>"
    )


def _shorts() -> dict[int, str]:
    graphics = f"<GRAPHICS>{text('PORT', 5900)}{text('TYPE', 'VNC')}</GRAPHICS>"
    return {
        0: _short(0, 3, 3, disk=disk(0, 64), nic=nic(0, 3), graphics=graphics, hid=1, seq=1),
        1: _short(1, 8, 0, disk=disk(1, 100, persistent=True), nic=nic(1, 4), hid=0, action=2),
        2: _short(2, 6, 0, etime=BORN + 60, hid=0, action=2),
        3: _short(3, 1, 0),
        4: _short(4, 3, 1, uid=0, hid=0),
    }


def _vm_row(oid: int, body: str) -> tuple[object, ...]:
    state, lcm = (int(body.split(f"<{n}>")[1].split("<")[0]) for n in ("STATE", "LCM_STATE"))
    uid = 0 if oid == 4 else 2
    return (
        oid,
        f"vm-{oid}",
        body,
        uid,
        int(uid == 2),
        state,
        lcm,
        1,
        0,
        0,
        _shorts()[oid],
        f"UNAME={_USERS[uid]}",
    )


def rows() -> Rows:
    """Every row of the cloud, by table, in the order of the layout's columns."""
    pool: Rows = {
        "user_pool": [
            _plain(
                user(0, (0,), sha256(b"opennebula").hexdigest()),
                0,
                "oneadmin",
            ),
            _plain(user(1, (0,), "f4e9170dbefac464", "server_cipher"), 1, "serveradmin"),
            _plain(
                user(2, (1, 100), "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"),
                2,
                "ann",
            ),
        ],
        "group_pool": [
            _plain(group(0, 0, 1), 0, "oneadmin"),
            _plain(group(1, 2), 1, "users"),
            _plain(group(100, 2), 100, "web"),
        ],
        "cluster_pool": [
            _plain(
                f"<CLUSTER><ID>0</ID><NAME>default</NAME>{ids('HOSTS', 0, 1)}{ids('DATASTORES', 0, 1, 2)}"
                f"{ids('VNETS', 0, 1)}{template(RESERVED_CPU='', RESERVED_MEM='')}</CLUSTER>",
                0,
                "default",
            )
        ],
        "host_pool": [
            (0, "node0", host(0, (1, 4), 100, 524288), 2, 0, 0, 1, 0, 0, 0),
            (1, "node1", host(1, (0,), 50, 262144), 2, 0, 0, 1, 0, 0, 0),
        ],
        "datastore_pool": [
            _pool(datastore(0, "system", 1), 0, "system", 0, "640"),
            _pool(datastore(1, "default", 0, 0, 1), 1, "default", 0, "640"),
            _pool(datastore(2, "files", 2), 2, "files", 0, "640"),
        ],
        "image_pool": [
            _pool(image(0, "disk", 2, 64, 0), 0, "disk", 2),
            _pool(image(1, "data", 8, 100, 1, persistent=1), 1, "data", 2),
        ],
        "network_pool": [
            _pool(
                network(
                    0,
                    "private",
                    address_range(
                        {
                            0: _NET | 1,
                            1: _NET | 1,
                            2: _NET | 1,
                            3: _VM,
                            4: _VM | 1,
                            7: _ROUTER,
                            9: (1 << 32) - 1 | _VM,
                        },
                        20,
                    ),
                    7,
                    routers=(0,),
                ),
                0,
                "private",
                0,
                "640",
                -1,
            ),
            _pool(
                network(1, "reserved", address_range({}, 3, parent=True), 0, "0"), 1, "reserved", 0, "640", 0
            ),
        ],
        "secgroup_pool": [_pool(security_group(0, 1), 0, "default", 0, "644")],
        "template_pool": [
            _pool(
                f"<VMTEMPLATE>{head(0, 'web server')}{permissions()}<REGTIME>{BORN}</REGTIME>"
                f"{template(CPU=0.5, MEMORY=256, DISK={'IMAGE_ID': 0}, SCHED_REQUIREMENTS='FREE_CPU > 10')}</VMTEMPLATE>",
                0,
                "web server",
            )
        ],
        "vdc_pool": [
            _plain(
                "<VDC><ID>0</ID><NAME>default</NAME><GROUPS><ID>1</ID></GROUPS><CLUSTERS><CLUSTER>"
                "<ZONE_ID>0</ZONE_ID><CLUSTER_ID>-10</CLUSTER_ID></CLUSTER></CLUSTERS><HOSTS></HOSTS>"
                "<DATASTORES></DATASTORES><VNETS></VNETS><TEMPLATE></TEMPLATE></VDC>",
                0,
                "default",
            )
        ],
        "zone_pool": [
            _plain(
                f"<ZONE><ID>0</ID><NAME>OpenNebula</NAME>{template(ENDPOINT='http://localhost:2633/RPC2')}"
                "<SERVER_POOL></SERVER_POOL></ZONE>",
                0,
                "OpenNebula",
            )
        ],
        "marketplace_pool": [
            _pool(
                f"<MARKETPLACE>{head(0, 'OpenNebula Public')}{text('MARKET_MAD', 'one')}{text('ZONE_ID', 0)}"
                "<TOTAL_MB>0</TOTAL_MB><FREE_MB>0</FREE_MB><USED_MB>0</USED_MB>"
                f"{ids('MARKETPLACEAPPS', 0)}{permissions('644')}{template(MARKET_MAD='one')}</MARKETPLACE>",
                0,
                "OpenNebula Public",
                0,
                "644",
            )
        ],
        "marketplaceapp_pool": [
            _pool(
                f"<MARKETPLACEAPP><ID>0</ID>{owner(0)}<REGTIME>{BORN}</REGTIME><NAME>Alpine</NAME>"
                f"{text('ZONE_ID', 0)}{text('ORIGIN_ID', -1)}{text('SOURCE', 'https://example.org/alpine')}"
                f"{text('MD5', 'd41d8cd98f00b204e9800998ecf8427e')}<SIZE>256</SIZE>{text('DESCRIPTION', 'small')}"
                f"{text('VERSION', '1.0')}{text('FORMAT', 'qcow2')}{text('APPTEMPLATE64', 'REVWX1BSRUZJWD0ic2Qi')}"
                "<MARKETPLACE_ID>0</MARKETPLACE_ID><MARKETPLACE>OpenNebula Public</MARKETPLACE><STATE>1</STATE>"
                f"<TYPE>1</TYPE>{permissions('644')}{template(LINK='https://example.org')}</MARKETPLACEAPP>",
                0,
                "Alpine",
                0,
                "644",
            )
        ],
        "hook_pool": [
            _plain(
                "<HOOK><ID>0</ID><NAME>on-error</NAME><TYPE>state</TYPE>"
                f"{template(COMMAND='ft.sh', REMOTE='NO', RESOURCE='HOST', STATE='ERROR')}</HOOK>",
                0,
                "on-error",
            )
            + (1,)
        ],
        "vrouter_pool": [
            _pool(
                f"<VROUTER>{head(0, 'edge')}{permissions()}<VMS></VMS>"
                + template(
                    NIC={
                        "AR_ID": 0,
                        "FLOATING_IP": "YES",
                        "NETWORK": "private",
                        "NETWORK_ID": 0,
                        "NIC_ID": 0,
                        "VROUTER_IP": "10.1.0.17",
                        "VROUTER_MAC": "02:00:0a:01:00:11",
                    }
                )
                + "</VROUTER>",
                0,
                "edge",
            )
        ],
        "vmgroup_pool": [
            _pool(
                f"<VM_GROUP>{head(0, 'tier')}{permissions()}<ROLES><ROLE>{text('ID', 0)}{text('NAME', 'front')}"
                f"{text('POLICY', 'ANTI_AFFINED')}</ROLE></ROLES><TEMPLATE></TEMPLATE></VM_GROUP>",
                0,
                "tier",
            )
        ],
        "document_pool": [
            (
                5,
                "flow",
                f"<DOCUMENT>{head(5, 'flow', 2)}<TYPE>100</TYPE>{permissions()}{template(BODY='{}')}</DOCUMENT>",
                100,
                2,
                1,
                1,
                0,
                0,
            )
        ],
        "vn_template_pool": [
            _pool(
                f"<VNTEMPLATE>{head(0, 'vlan')}{permissions()}<REGTIME>{BORN}</REGTIME>"
                f"{template(BRIDGE='b0', VN_MAD='dummy')}</VNTEMPLATE>",
                0,
                "vlan",
            )
        ],
        "vm_pool": [_vm_row(oid, body) for oid, body in VMS.items()],
    }
    return {**pool, **_beside(pool)}


def _beside(pool: Rows) -> Rows:
    """Tables that hold no objects."""
    lasts = {name: max(int(str(row[0])) for row in found) for name, found in pool.items()}
    # Ids of this kind are not used again: higher ones have been there.
    lasts |= {
        "vm_pool": 41,
        "group_pool": 100,
        "cluster_pool": 99,
        "datastore_pool": 99,
        "secgroup_pool": 99,
        "acl": 1,
    }
    lasts |= {"vdc_pool": 99, "zone_pool": 99, "marketplace_pool": 99}
    of_done = DONE.replace(record(2, 0, 0, BORN + 6, BORN + 60), "")
    records = {
        (0, 0): record(0, 0, 0, BORN + 4, BORN + 100, more=RUNNING),
        (0, 1): record(0, 1, 1, BORN + 100, more=RUNNING),
        (1, 0): record(1, 0, 0, BORN + 5, BORN + 50, more=POWERED_OFF),
        (2, 0): record(2, 0, 0, BORN + 6, BORN + 60, more=of_done),
        (4, 0): record(4, 0, 0, BORN + 7, running=False, more=PROLOG),
    }
    times = {(0, 0): (4, 100), (0, 1): (100, None), (1, 0): (5, 50), (2, 0): (6, 60), (4, 0): (7, None)}
    return {
        "history": [
            (*key, body, BORN + times[key][0], 0 if times[key][1] is None else BORN + int(str(times[key][1])))
            for key, body in records.items()
        ],
        "user_quotas": [
            (oid, _quotas(2) if oid == 2 else f"<QUOTAS><ID>{oid}</ID>{_EMPTY_QUOTAS}</QUOTAS>")
            for oid in _USERS
        ],
        "group_quotas": [
            (oid, _quotas(1) if oid == 1 else f"<QUOTAS><ID>{oid}</ID>{_EMPTY_QUOTAS}</QUOTAS>")
            for oid in _GROUPS
        ],
        "system_attributes": [
            ("DEFAULT_USER_QUOTAS", f"<DEFAULT_USER_QUOTAS>{_EMPTY_QUOTAS}</DEFAULT_USER_QUOTAS>"),
            ("DEFAULT_GROUP_QUOTAS", f"<DEFAULT_GROUP_QUOTAS>{_EMPTY_QUOTAS}</DEFAULT_GROUP_QUOTAS>"),
        ],
        "acl": [
            (0, 1 << 33 | 1, 0x15 << 36 | 1 << 34, 8, 1 << 32),
            (1, 1 << 33 | 1, 1 << 37 | 1 << 34, 1, 1 << 32),
        ],
        "vm_monitoring": [
            (
                0,
                BORN + 110,
                f"<MONITORING>{text('CPU', 12)}<ID>0</ID><TIMESTAMP>{BORN + 110}</TIMESTAMP></MONITORING>",
            )
        ],
        "host_monitoring": [
            (1, BORN + 110, f"<MONITORING><TIMESTAMP>{BORN + 110}</TIMESTAMP><ID>1</ID></MONITORING>")
        ],
        "vm_showback": [
            (0, 2026, 11, "<SHOWBACK><VMID>0</VMID><YEAR>2026</YEAR><MONTH>11</MONTH></SHOWBACK>")
        ],
        "hook_log": [(0, 0, BORN, 0, "<HOOK_EXECUTION_RECORD><HOOK_ID>0</HOOK_ID></HOOK_EXECUTION_RECORD>")],
        "vm_import": [("wild-1", 0)],
        "cluster_vnc_bitmap": [(0, "eJztwTEBAAAAwqD1T20MH6AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAeBtgAAE=")],
        "cluster_datastore_relation": [(0, 0), (0, 1), (0, 2)],
        "cluster_network_relation": [(0, 0), (0, 1)],
        "logdb": [(0, 0, "eJwDAAAAAAE=", BORN, (1 << 64) - 1, 1)],
        "pool_control": list(lasts.items()),
        "db_versioning": [(0, "5.12.0", BORN, "OpenNebula 5.12.0 daemon bootstrap")],
        "local_db_versioning": [(0, "5.12.0", BORN, "OpenNebula 5.12.0 daemon bootstrap", 0)],
    }
