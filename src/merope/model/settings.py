"""What a cloud is configured with, as typed values with the defaults of OpenNebula 5.12.

One field for each option of oned.conf, monitord.conf and sched.conf (facts: 5.12 configuration; a
departure from them says so in its `note`). Pure data: reading files is the daemon's work.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from merope.model import settings_drivers as drivers
from merope.model import settings_names as given
from merope.model.option import (
    Choice,
    Cost,
    Integer,
    MacPrefix,
    MaybeYesNo,
    Octal,
    Ranges,
    Rights,
    Section,
    Text,
    Words,
    YesNo,
    names,
    option,
    sections,
)
from merope.model.settings_sections import (
    AUTH_MAD_CONF_KEYS,
    DS_MAD_CONF_KEYS,
    MAD_KEYS,
    MARKET_MAD_CONF_KEYS,
    TM_MAD_CONF_KEYS,
    VM_MAD_KEYS,
    VN_MAD_CONF_KEYS,
)
from merope.model.states import HistoryAction

_LOG_SYSTEM = Choice(("file", "syslog", "std"))
_DOOR = "Counts where the file gives it; else the door has its own limit, as a connection costs it no thread."
_OPERATIONS = Words(
    frozenset(action.name.lower().replace("_", "-") for action in HistoryAction if action)
    | {"disk-snapshot", "snapshot"}
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """oned.conf: what the core, its door and its store work with.

    `document` is what one.system.config answers (secrets masked); the daemon fills it in.
    """

    document: str = "<OPENNEBULA_CONFIGURATION/>"
    long_list: int = 512
    """Entries of a list in a document from which on it is written in pieces (store/parts.py)."""

    # Periods
    manager_timer: int = option(
        "MANAGER_TIMER", Integer(1), "15", "Seconds between periodic tasks of the core."
    )
    monitoring_interval_datastore: int = option(
        "MONITORING_INTERVAL_DATASTORE", Integer(1), "300", "Seconds between measurements of a datastore."
    )
    monitoring_interval_market: int = option(
        "MONITORING_INTERVAL_MARKET", Integer(1), "600", "Seconds between readings of a marketplace."
    )
    monitoring_interval_db_update: int = option(
        "MONITORING_INTERVAL_DB_UPDATE",
        Integer(-1),
        "0",
        "Least seconds between two stored measurements of a VM: 0 stores each, -1 none.",
    )
    ds_monitor_vm_disk: int = option(
        "DS_MONITOR_VM_DISK",
        Integer(0),
        "10",
        "Measure VM disks at every n-th datastore measurement; 0: never.",
    )
    host_per_interval: int = option(
        "HOST_PER_INTERVAL", Integer(1), "15", "Accepted for old files; hosts report by themselves."
    )
    vm_per_interval: int = option(
        "VM_PER_INTERVAL", Integer(1), "5", "Accepted for old files; hosts report by themselves."
    )
    vm_monitoring_expiration_time: int = option(
        "VM_MONITORING_EXPIRATION_TIME",
        Integer(0),
        "14400",
        "Accepted for old files; that of monitord.conf counts.",
    )
    scripts_remote_dir: str = option(
        "SCRIPTS_REMOTE_DIR",
        Text("/.+", "an absolute path"),
        "/var/tmp/one",  # noqa: S108  a directory on hosts; the agent checks that it owns it
        "Where a host keeps its agent.",
    )

    # Hosts over SSH
    ssh_host_keys: str = option(
        "SSH/HOST_KEYS",
        Choice(("accept-new", "yes")),
        "accept-new",
        "accept-new: the first key of a host is kept and must stay; yes: its key must be known before.",
        shown=False,
        note="Not in 5.12. Known keys are in .ssh/known_hosts of the home.",
    )
    ssh_connect_timeout: int = option(
        "SSH/CONNECT_TIMEOUT",
        Integer(1, 300),
        "10",
        "Seconds that a host may take to answer.",
        shown=False,
        note="Not in 5.12.",
    )
    ssh_alive_interval: int = option(
        "SSH/ALIVE_INTERVAL",
        Integer(1, 300),
        "5",
        "Seconds between questions whether a host is there; without three answers its connection is over.",
        shown=False,
        note="Not in 5.12.",
    )
    ssh_python: str = option(
        "SSH/PYTHON",
        Text("/.+", "an absolute path"),
        "/usr/bin/python3",
        "Python of hosts, 3.11 or newer: that of the distribution, which the binding of libvirt belongs to.",
        shown=False,
        note="Not in 5.12.",
    )
    ssh_persist: int = option(
        "SSH/PERSIST",
        Integer(1, 86400),
        "600",
        "Seconds that a connection is kept after it was used last.",
        shown=False,
        note="Not in 5.12.",
    )

    # Database
    db_backend: str = option(
        "DB/BACKEND", Choice(("sqlite", "mysql", "postgresql")), "sqlite", "Kind of database."
    )
    db_timeout: int = option(
        "DB/TIMEOUT",
        Integer(0),
        "2500",
        "Milliseconds that SQLite waits for a lock that another process has.",
    )
    db_server: str = option("DB/SERVER", Text(), "localhost", "Host of the database.", shown=False)
    db_port: int = option(
        "DB/PORT", Integer(0, 65535), "0", "Port of the database; 0: its usual one.", shown=False
    )
    db_user: str = option("DB/USER", Text(), "oneadmin", "User of the database.", shown=False)
    db_passwd: str = option(
        "DB/PASSWD", Text(), "oneadmin", "Password of the database.", shown=False, secret=True
    )
    db_name: str = option("DB/DB_NAME", Text(), "opennebula", "Name of the database.", shown=False)
    db_connections: int = option(
        "DB/CONNECTIONS", Integer(1, 1000), "25", "Connections to the database at most.", shown=False
    )
    db_compare_binary: bool = option(
        "DB/COMPARE_BINARY", YesNo(), "no", "Compare names byte by byte in MySQL.", shown=False
    )
    db_encoding: str = option("DB/ENCODING", Text(), "", "Character set of the connection.", shown=False)

    # Ports of remote displays
    vnc_ports_start: int = option(
        "VNC_PORTS/START", Integer(1, 65535), "5900", "First display port; a VM tries this + its id first."
    )
    vnc_ports_reserved: tuple[tuple[int, int], ...] = option(
        "VNC_PORTS/RESERVED", Ranges(65536), "32768:65536", "Ports that no VM gets: pairs (first, last)."
    )

    # Log
    log_system: str = option("LOG/SYSTEM", _LOG_SYSTEM, "file", "Where the log goes.")
    log_debug_level: int = option(
        "LOG/DEBUG_LEVEL", Integer(0, 5), "3", "0 error, 1 warning, 2 information, 3 to 5 debug."
    )
    log_use_vms_location: bool = option(
        "LOG/USE_VMS_LOCATION", YesNo(), "no", "Keep the log of a VM in its directory.", shown=False
    )

    # The door
    port: int = option("PORT", Integer(1, 65535), "2633", "Port of the API.")
    listen_address: str = option(
        "LISTEN_ADDRESS",
        Text(r"[0-9A-Za-z:.%_-]+", "an address of this machine"),
        "127.0.0.1",
        "Address at which the API listens.",
        note="Without a line in the file: at every address (0.0.0.0) once a host is not this machine.",
    )
    hostname: str | None = option(
        "HOSTNAME", Text(r"[0-9A-Za-z.-]+", "a host name"), None, "Name of this front end as hosts know it."
    )
    max_conn: int = option(
        "MAX_CONN", Integer(1), "15", "Connections that are served at the same time.", note=_DOOR
    )
    max_conn_backlog: int = option(
        "MAX_CONN_BACKLOG", Integer(1), "15", "Connections that wait for a place.", note=_DOOR
    )
    keepalive_timeout: int = option(
        "KEEPALIVE_TIMEOUT", Integer(0), "15", "Seconds that an idle connection is kept.", note=_DOOR
    )
    keepalive_max_conn: int = option(
        "KEEPALIVE_MAX_CONN", Integer(0), "30", "Requests that one connection may carry.", note=_DOOR
    )
    timeout: int = option("TIMEOUT", Integer(1), "15", "Seconds that a client has to send or take data.")
    rpc_log: bool = option("RPC_LOG", YesNo(), "NO", "Log whole requests to one_xmlrpc.log.")
    message_size: int = option(
        "MESSAGE_SIZE", Integer(1024), "1073741824", "Bytes of a request at most.", note=_DOOR
    )
    log_call_format: str = option(
        "LOG_CALL_FORMAT",
        Text(),
        "Req:%i UID:%u IP:%A %m invoked %l20",
        "How a call is logged: %i request, %m method, %u %U user id and name, %g %G group, %l[n] parameters, "
        "%p password (never printed), %a token, %A %P address and port of the client, %% a percent sign.",
    )
    api_list_order: str = option("API_LIST_ORDER", Choice(("ASC", "DESC")), "DESC", "Order of pools by id.")

    # Virtual machines
    vm_submit_on_hold: bool = option("VM_SUBMIT_ON_HOLD", YesNo(), "NO", "New VMs start in HOLD.")
    default_cpu_cost: float = option("DEFAULT_COST/CPU_COST", Cost(), "0", "Price of one CPU for an hour.")
    default_memory_cost: float = option(
        "DEFAULT_COST/MEMORY_COST", Cost(), "0", "Price of one MB of memory for an hour."
    )
    default_disk_cost: float = option(
        "DEFAULT_COST/DISK_COST", Cost(), "0", "Price of one MB of disk for an hour."
    )
    pci_passthrough_bus: str = option(
        "PCI_PASSTHROUGH_BUS",
        Text(r"0x[0-9a-fA-F]{1,2}", "a bus such as 0x01"),
        "0x01",
        "Bus of passed-through PCI devices in a VM.",
    )
    onegate_endpoint: str | None = option(
        "ONEGATE_ENDPOINT", Text(r"https?://.+", "a URL"), None, "URL of OneGate, as VMs reach it."
    )

    # Federation and high availability
    federation_mode: str = option(
        "FEDERATION/MODE",
        Choice(("STANDALONE", "MASTER", "SLAVE", "CACHE")),
        "STANDALONE",
        "Role of this zone.",
    )
    zone_id: int = option("FEDERATION/ZONE_ID", Integer(0), "0", "Id of this zone.")
    server_id: int = option("FEDERATION/SERVER_ID", Integer(-1), "-1", "Id of this front end; -1: alone.")
    master_oned: str = option(
        "FEDERATION/MASTER_ONED", Text(r"(https?://.+)?", "a URL or blank"), "", "API of the master zone."
    )
    raft_limit_purge: int = option("RAFT/LIMIT_PURGE", Integer(1), "100000", "Records deleted in one purge.")
    raft_log_retention: int = option("RAFT/LOG_RETENTION", Integer(1), "250000", "Records that are kept.")
    raft_log_purge_timeout: int = option(
        "RAFT/LOG_PURGE_TIMEOUT", Integer(1), "60", "Seconds between two purges."
    )
    raft_election_timeout_ms: int = option(
        "RAFT/ELECTION_TIMEOUT_MS", Integer(1), "5000", "Milliseconds without a leader until an election."
    )
    raft_broadcast_timeout_ms: int = option(
        "RAFT/BROADCAST_TIMEOUT_MS", Integer(1), "500", "Milliseconds between heartbeats."
    )
    raft_xmlrpc_timeout_ms: int = option(
        "RAFT/XMLRPC_TIMEOUT_MS", Integer(0), "1000", "Milliseconds for a replication request; 0: no limit."
    )
    raft_leader_hook_command: str | None = option(
        "RAFT_LEADER_HOOK/COMMAND", Text(), None, "Program that runs when this front end becomes the leader."
    )
    raft_leader_hook_arguments: str | None = option(
        "RAFT_LEADER_HOOK/ARGUMENTS", Text(), None, "Its arguments."
    )
    raft_follower_hook_command: str | None = option(
        "RAFT_FOLLOWER_HOOK/COMMAND", Text(), None, "Program that runs when it becomes a follower."
    )
    raft_follower_hook_arguments: str | None = option(
        "RAFT_FOLLOWER_HOOK/ARGUMENTS", Text(), None, "Its arguments."
    )

    # Networks
    network_size: int = option("NETWORK_SIZE", Integer(1), "254", "Addresses of a range that gives no size.")
    mac_prefix: int = option(
        "MAC_PREFIX", MacPrefix(), "02:00", "First two bytes of new MAC addresses, as one number."
    )
    vlan_ids_start: int = option("VLAN_IDS/START", Integer(1, 4095), "2", "First VLAN id that is given.")
    vlan_ids_reserved: tuple[tuple[int, int], ...] = option(
        "VLAN_IDS/RESERVED", Ranges(4095), "0, 1, 4095", "VLAN ids that are never given: pairs (first, last)."
    )
    vxlan_ids_start: int = option(
        "VXLAN_IDS/START", Integer(1, 2**24 - 1), "2", "First VXLAN id that is given."
    )

    # Storage
    datastore_location: str = option(
        "DATASTORE_LOCATION",
        Text("/.+", "an absolute path"),
        "/var/lib/one//datastores",
        "Where datastores are, on the front end and on hosts.",
        note="Without a line in the file it is datastores/ in the home directory of the cloud.",
    )
    datastore_capacity_check: bool = option(
        "DATASTORE_CAPACITY_CHECK", YesNo(), "yes", "Refuse images that do not fit into their datastore."
    )
    default_device_prefix: str = option(
        "DEFAULT_DEVICE_PREFIX", Choice(("hd", "sd", "vd")), "sd", "Device of a disk that gives no prefix."
    )
    default_cdrom_device_prefix: str = option(
        "DEFAULT_CDROM_DEVICE_PREFIX", Choice(("hd", "sd", "vd")), "hd", "The same of a CD-ROM."
    )
    default_image_type: str = option(
        "DEFAULT_IMAGE_TYPE", Choice(("OS", "CDROM", "DATABLOCK")), "OS", "Type of an image that gives none."
    )
    default_image_persistent: bool | None = option(
        "DEFAULT_IMAGE_PERSISTENT",
        MaybeYesNo(),
        "",
        "Persistence of cloned and saved images; blank: that of the original image.",
    )
    default_image_persistent_new: bool | None = option(
        "DEFAULT_IMAGE_PERSISTENT_NEW", MaybeYesNo(), "", "Persistence of new images; blank: not persistent."
    )

    # Users and permissions
    default_auth: str = option(
        "DEFAULT_AUTH", Text(), "default", "Driver that knows users who are not stored."
    )
    session_expiration_time: int = option(
        "SESSION_EXPIRATION_TIME", Integer(0), "900", "Seconds that a verified login is remembered; 0: not."
    )
    password_kdf_cost: int = option(
        "PASSWORD_KDF_COST",
        Integer(4, 20),
        "14",
        "Work to check a password: scrypt with N = 2 to this power, r = 8, p = 1 (14: 16 MB; sandbox: 4).",
        ours=True,
        shown=False,
    )
    enable_other_permissions: bool = option(
        "ENABLE_OTHER_PERMISSIONS", YesNo(), "YES", "Owners may give permissions to others."
    )
    default_umask: int = option(
        "DEFAULT_UMASK", Octal(), "177", "Permissions that new objects do not get, as in chmod (octal)."
    )
    vm_admin_operations: tuple[str, ...] = option(
        "VM_ADMIN_OPERATIONS",
        _OPERATIONS,
        "migrate, delete, recover, retry, deploy, resched",
        "Operations on a VM that need the ADMIN right.",
    )
    vm_manage_operations: tuple[str, ...] = option(
        "VM_MANAGE_OPERATIONS",
        _OPERATIONS,
        "undeploy, hold, release, stop, suspend, resume, reboot, poweroff, disk-attach, nic-attach, "
        "disk-snapshot, terminate, disk-resize, snapshot, updateconf, rename, resize, update, disk-saveas",
        "Operations on a VM that need the MANAGE right.",
    )
    vm_use_operations: tuple[str, ...] = option(
        "VM_USE_OPERATIONS", _OPERATIONS, "", "Operations on a VM that need the USE right."
    )
    default_vdc_host_acl: tuple[str, ...] = option(
        "DEFAULT_VDC_HOST_ACL", Rights(), "MANAGE", "Rights of a VDC's groups on its hosts."
    )
    default_vdc_vnet_acl: tuple[str, ...] = option(
        "DEFAULT_VDC_VNET_ACL", Rights(), "USE", "Rights of a VDC's groups on its networks."
    )
    default_vdc_datastore_acl: tuple[str, ...] = option(
        "DEFAULT_VDC_DATASTORE_ACL", Rights(), "USE", "Rights of a VDC's groups on its datastores."
    )
    default_vdc_cluster_host_acl: tuple[str, ...] = option(
        "DEFAULT_VDC_CLUSTER_HOST_ACL",
        Rights(),
        "MANAGE",
        "Rights of a VDC's groups on hosts of its clusters.",
    )
    default_vdc_cluster_net_acl: tuple[str, ...] = option(
        "DEFAULT_VDC_CLUSTER_NET_ACL",
        Rights(),
        "USE",
        "Rights of a VDC's groups on networks of its clusters.",
    )
    default_vdc_cluster_datastore_acl: tuple[str, ...] = option(
        "DEFAULT_VDC_CLUSTER_DATASTORE_ACL",
        Rights(),
        "USE",
        "Rights of a VDC's groups on datastores of its clusters.",
    )
    one_key: str | None = option(
        "ONE_KEY",
        Text(),
        None,
        "Key that encrypts attributes; read from .one/one_key of the home.",
        secret=True,
    )

    # Hooks
    hook_log_retention: int = option(
        "HOOK_LOG_CONF/LOG_RETENTION", Integer(0), "20", "Executions that are kept of each hook."
    )
    hook_concurrency: int = option(
        "HOOK_EXECUTION/CONCURRENCY", Integer(1, 1000), "10", "Hooks that run at a time."
    )
    hook_timeout: int = option(
        "HOOK_EXECUTION/TIMEOUT",
        Integer(0),
        "3600",
        "Seconds that a hook without a TIMEOUT of its own may take; 0: no limit.",
    )
    hook_base_path: str | None = option(
        "HOOK_EXECUTION/BASE_PATH",
        Text("/.+", "an absolute path"),
        None,
        "Where commands of hooks are.",
        note="Without a line in the file it is remotes/hooks/ in the home directory of the cloud.",
    )
    hook_remote_base_path: str = option(
        "HOOK_EXECUTION/REMOTE_BASE_PATH",
        Text("/.+", "an absolute path"),
        "/var/tmp/one/hooks",  # noqa: S108 - where 5.12 has them
        "Where commands of hooks are on hosts.",
    )

    # Hosts that fail
    failure_cycle: int = option(
        "HOST_FAILURE/CYCLE",
        Integer(1),
        "60",
        "Seconds of a monitoring cycle, of which ft/host_error waits so many (-p) for a host to come back.",
        ours=True,
        shown=False,
    )
    failure_settle: int = option(
        "HOST_FAILURE/SETTLE",
        Integer(0),
        "30",
        "Least seconds between the failure of a host and its being switched off: others may fail with it.",
        ours=True,
        shown=False,
    )
    failure_max_hosts: int = option(
        "HOST_FAILURE/MAX_HOSTS",
        Integer(0),
        "10",
        "So many hosts may fail at a time; when more do, nothing is recovered unasked. 0: only MAX_SHARE.",
        ours=True,
        shown=False,
    )
    failure_max_share: int = option(
        "HOST_FAILURE/MAX_SHARE",
        Integer(1, 100),
        "34",
        "The same as a share of the hosts of a cluster, and of all, in percent; one host may always fail.",
        ours=True,
        shown=False,
    )
    failure_window: int = option(
        "HOST_FAILURE/WINDOW",
        Integer(1),
        "600",
        "Seconds in which failures are at a time; a host whose recovery waits counts for longer.",
        ours=True,
        shown=False,
    )
    failure_flapping: int = option(
        "HOST_FAILURE/FLAPPING",
        Integer(0, 1000),
        "3",
        "A host that fails so often within FLAPPING_WINDOW gets no VMs before it is STABLE. 0: it does.",
        ours=True,
        shown=False,
    )
    failure_flapping_window: int = option(
        "HOST_FAILURE/FLAPPING_WINDOW", Integer(1), "3600", "Seconds.", ours=True, shown=False
    )
    failure_stable: int = option(
        "HOST_FAILURE/STABLE",
        Integer(1),
        "600",
        "Seconds that such a host must be heard without a break.",
        ours=True,
        shown=False,
    )
    failure_strays: str = option(
        "HOST_FAILURE/STRAYS",
        Choice(("remove", "report")),
        "remove",
        "What becomes of a VM on a host that came back, when the VM is somewhere else now.",
        ours=True,
        shown=False,
    )

    # Attributes that only administrators may set, that are stored encrypted, that VMs inherit
    vm_restricted_attr: tuple[str, ...] = names(
        "VM_RESTRICTED_ATTR", given.VM_RESTRICTED_ATTR, "Attributes of a VM for administrators only."
    )
    image_restricted_attr: tuple[str, ...] = names(
        "IMAGE_RESTRICTED_ATTR",
        given.IMAGE_RESTRICTED_ATTR,
        "Attributes of an image for administrators only.",
    )
    vnet_restricted_attr: tuple[str, ...] = names(
        "VNET_RESTRICTED_ATTR", given.VNET_RESTRICTED_ATTR, "Attributes of a network for administrators only."
    )
    user_restricted_attr: tuple[str, ...] = names(
        "USER_RESTRICTED_ATTR", given.USER_RESTRICTED_ATTR, "Attributes of a user for administrators only."
    )
    group_restricted_attr: tuple[str, ...] = names(
        "GROUP_RESTRICTED_ATTR", given.GROUP_RESTRICTED_ATTR, "Attributes of a group for administrators only."
    )
    host_encrypted_attr: tuple[str, ...] = names(
        "HOST_ENCRYPTED_ATTR", given.HOST_ENCRYPTED_ATTR, "Attributes of a host that are stored encrypted."
    )
    vm_encrypted_attr: tuple[str, ...] = names(
        "VM_ENCRYPTED_ATTR", given.VM_ENCRYPTED_ATTR, "Attributes of a VM that are stored encrypted."
    )
    vnet_encrypted_attr: tuple[str, ...] = names(
        "VNET_ENCRYPTED_ATTR", given.VNET_ENCRYPTED_ATTR, "Attributes of a network that are stored encrypted."
    )
    datastore_encrypted_attr: tuple[str, ...] = names(
        "DATASTORE_ENCRYPTED_ATTR",
        given.DATASTORE_ENCRYPTED_ATTR,
        "Attributes of a datastore that are stored encrypted.",
    )
    cluster_encrypted_attr: tuple[str, ...] = names(
        "CLUSTER_ENCRYPTED_ATTR",
        given.CLUSTER_ENCRYPTED_ATTR,
        "Attributes of a cluster that are stored encrypted.",
    )
    inherit_datastore_attr: tuple[str, ...] = names(
        "INHERIT_DATASTORE_ATTR",
        given.INHERIT_DATASTORE_ATTR,
        "Attributes that a disk takes from the datastore of its image.",
    )
    inherit_image_attr: tuple[str, ...] = names(
        "INHERIT_IMAGE_ATTR", given.INHERIT_IMAGE_ATTR, "Attributes that a disk takes from its image."
    )
    inherit_vnet_attr: tuple[str, ...] = names(
        "INHERIT_VNET_ATTR", given.INHERIT_VNET_ATTR, "Attributes that a NIC takes from its network."
    )

    # Drivers, by NAME (by "" where a section has none)
    im_mad: Mapping[str, Section] = sections("IM_MAD", MAD_KEYS, drivers.IM_MAD, "Monitoring.")
    vm_mad: Mapping[str, Section] = sections("VM_MAD", VM_MAD_KEYS, drivers.VM_MAD, "Hypervisors.")
    tm_mad: Mapping[str, Section] = sections("TM_MAD", MAD_KEYS, drivers.TM_MAD, "Transfer of disks.")
    datastore_mad: Mapping[str, Section] = sections(
        "DATASTORE_MAD", MAD_KEYS, drivers.DATASTORE_MAD, "Datastores."
    )
    market_mad: Mapping[str, Section] = sections("MARKET_MAD", MAD_KEYS, drivers.MARKET_MAD, "Marketplaces.")
    ipam_mad: Mapping[str, Section] = sections("IPAM_MAD", MAD_KEYS, drivers.IPAM_MAD, "Address management.")
    hm_mad: Mapping[str, Section] = sections("HM_MAD", MAD_KEYS, drivers.HM_MAD, "Hooks.")
    auth_mad: Mapping[str, Section] = sections("AUTH_MAD", MAD_KEYS, drivers.AUTH_MAD, "Authentication.")
    tm_mad_conf: Mapping[str, Section] = sections(
        "TM_MAD_CONF", TM_MAD_CONF_KEYS, drivers.TM_MAD_CONF, "What each transfer driver does.", merged=True
    )
    ds_mad_conf: Mapping[str, Section] = sections(
        "DS_MAD_CONF", DS_MAD_CONF_KEYS, drivers.DS_MAD_CONF, "What each datastore driver needs.", merged=True
    )
    market_mad_conf: Mapping[str, Section] = sections(
        "MARKET_MAD_CONF",
        MARKET_MAD_CONF_KEYS,
        drivers.MARKET_MAD_CONF,
        "What each marketplace driver does and needs.",
        merged=True,
    )
    auth_mad_conf: Mapping[str, Section] = sections(
        "AUTH_MAD_CONF",
        AUTH_MAD_CONF_KEYS,
        drivers.AUTH_MAD_CONF,
        "What each way to log in allows.",
        merged=True,
    )
    vn_mad_conf: Mapping[str, Section] = sections(
        "VN_MAD_CONF",
        VN_MAD_CONF_KEYS,
        drivers.VN_MAD_CONF,
        "Kind of bridge of each network driver.",
        merged=True,
    )


@dataclass(frozen=True, kw_only=True)
class MonitorSettings:
    """monitord.conf: how hosts and VMs are measured."""

    manager_timer: int = option("MANAGER_TIMER", Integer(1), "15", "Seconds between periodic tasks.")
    monitoring_interval_host: int = option(
        "MONITORING_INTERVAL_HOST",
        Integer(1),
        "180",
        "Seconds without a sign of life until a host is retried.",
    )
    host_monitoring_expiration_time: int = option(
        "HOST_MONITORING_EXPIRATION_TIME",
        Integer(0),
        "43200",
        "Seconds that measurements of hosts are kept; 0: none.",
    )
    vm_monitoring_expiration_time: int = option(
        "VM_MONITORING_EXPIRATION_TIME", Integer(0), "43200", "The same of VMs."
    )
    db_connections: int = option("DB/CONNECTIONS", Integer(1), "15", "Connections to the database at most.")
    log_system: str = option("LOG/SYSTEM", _LOG_SYSTEM, "FILE", "Where the log goes.")
    log_debug_level: int = option("LOG/DEBUG_LEVEL", Integer(0, 5), "3", "As in oned.conf.")
    network_address: str = option(
        "NETWORK/ADDRESS",
        Text(),
        "127.0.0.1",
        "Where hosts report to (UDP and TCP).",
        note="Without a line in the file: at every address (0.0.0.0) once a host is not this machine.",
    )
    network_monitor_address: str = option(
        "NETWORK/MONITOR_ADDRESS",
        Text(),
        "auto",
        "The same as hosts know it; auto: where their session came from.",
    )
    network_port: int = option("NETWORK/PORT", Integer(1, 65535), "4124", "Port of the same.")
    network_threads: int = option("NETWORK/THREADS", Integer(1), "8", "Accepted for old files.")
    network_pubkey: str = option("NETWORK/PUBKEY", Text(), "", "Path of the key that hosts encrypt with.")
    network_prikey: str = option("NETWORK/PRIKEY", Text(), "", "Path of the key that opens it.")
    prometheus_address: str = option(
        "PROMETHEUS/ADDRESS",
        Text(r"|\S+:[0-9]+", "ADDRESS:PORT, or nothing"),
        "",
        "Where each agent answers a Prometheus (/metrics), such as 0.0.0.0:9106; blank: nowhere.",
        note="Not in 5.12.",
    )
    beacon_host: int = option("PROBES_PERIOD/BEACON_HOST", Integer(1), "30", "Seconds between signs of life.")
    system_host: int = option(
        "PROBES_PERIOD/SYSTEM_HOST", Integer(1), "600", "Seconds between reports of a host's capacity."
    )
    monitor_host: int = option(
        "PROBES_PERIOD/MONITOR_HOST", Integer(1), "120", "Seconds between reports of a host's usage."
    )
    state_vm: int = option("PROBES_PERIOD/STATE_VM", Integer(1), "5", "Seconds between looks at VM states.")
    monitor_vm: int = option(
        "PROBES_PERIOD/MONITOR_VM", Integer(1), "30", "Seconds between reports of a VM's usage."
    )
    sync_state_vm: int = option(
        "PROBES_PERIOD/SYNC_STATE_VM", Integer(1), "180", "Seconds until all VM states are told again."
    )
    im_mad: Mapping[str, Section] = sections(
        "IM_MAD", MAD_KEYS, drivers.MONITOR_DRIVERS, "How a host of each hypervisor is measured."
    )


@dataclass(frozen=True, kw_only=True)
class SchedulerSettings:
    """sched.conf: how VMs are placed."""

    message_size: int = option("MESSAGE_SIZE", Integer(1024), "1073741824", "Bytes of an answer at most.")
    timeout: int = option("TIMEOUT", Integer(1), "60", "Seconds for an answer of the API.")
    one_xmlrpc: str = option(
        "ONE_XMLRPC", Text(r"https?://.+", "a URL"), "http://localhost:2633/RPC2", "URL of the API."
    )
    sched_interval: int = option(
        "SCHED_INTERVAL", Integer(1), "30", "Seconds between rounds; events start one at once."
    )
    max_vm: int = option("MAX_VM", Integer(0), "5000", "VMs looked at in one round; 0: all.")
    max_dispatch: int = option("MAX_DISPATCH", Integer(0), "30", "VMs placed in one round; 0: all.")
    max_host: int = option("MAX_HOST", Integer(0), "1", "VMs placed on one host in one round; 0: no limit.")
    live_rescheds: int = option("LIVE_RESCHEDS", Integer(0, 1), "0", "1: VMs to be moved are migrated live.")
    cold_migrate_mode: int = option(
        "COLD_MIGRATE_MODE",
        Integer(0, 2),
        "0",
        "How VMs are moved that are not migrated live: 0 saved, 1 powered off, 2 powered off hard.",
    )
    memory_system_ds_scale: int = option(
        "MEMORY_SYSTEM_DS_SCALE",
        Integer(-1),
        "0",
        "MB of system datastore counted for each MB of memory of a VM; 0: none.",
    )
    different_vnets: bool = option(
        "DIFFERENT_VNETS", YesNo(), "YES", "Automatic NICs of a VM go to different networks."
    )
    host_policy: int = option(
        "DEFAULT_SCHED/POLICY", Integer(0, 4), "1", "0 packing, 1 striping, 2 load-aware, 3 RANK, 4 fixed."
    )
    host_rank: str | None = option("DEFAULT_SCHED/RANK", Text(), None, "Expression for policy 3.")
    datastore_policy: int = option(
        "DEFAULT_DS_SCHED/POLICY", Integer(0, 3), "1", "0 packing, 1 striping, 2 RANK, 3 fixed."
    )
    datastore_rank: str | None = option("DEFAULT_DS_SCHED/RANK", Text(), None, "Expression for policy 2.")
    network_policy: int = option(
        "DEFAULT_NIC_SCHED/POLICY", Integer(0, 3), "1", "0 packing, 1 striping, 2 RANK, 3 fixed."
    )
    network_rank: str | None = option("DEFAULT_NIC_SCHED/RANK", Text(), None, "Expression for policy 2.")
    log_system: str = option("LOG/SYSTEM", _LOG_SYSTEM, "file", "Where the log goes.")
    log_debug_level: int = option("LOG/DEBUG_LEVEL", Integer(0, 5), "3", "As in oned.conf.")
