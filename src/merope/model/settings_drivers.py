"""The driver sections that OpenNebula 5.12 comes with (facts of oned.conf and monitord.conf).

Sections that its files have as comments only (ec2, az, one and dummy hypervisors) are not in force.
"""

from collections.abc import Mapping

from merope.model.option import Section

IM_MAD: tuple[Section, ...] = (
    {"NAME": "monitord", "EXECUTABLE": "onemonitord", "ARGUMENTS": "-c monitord.conf", "THREADS": "8"},
)

VM_MAD: tuple[Section, ...] = (
    {
        "NAME": "kvm",
        "SUNSTONE_NAME": "KVM",
        "EXECUTABLE": "one_vmm_exec",
        "ARGUMENTS": "-t 15 -r 0 kvm",
        "DEFAULT": "vmm_exec/vmm_exec_kvm.conf",
        "TYPE": "kvm",
        "KEEP_SNAPSHOTS": "yes",
        "IMPORTED_VMS_ACTIONS": (
            "terminate, terminate-hard, hold, release, suspend, resume, delete, reboot, "
            "reboot-hard, resched, unresched, disk-attach, disk-detach, nic-attach, nic-"
            "detach, snapshot-create, snapshot-delete"
        ),
    },
    {
        "NAME": "lxd",
        "SUNSTONE_NAME": "LXD",
        "EXECUTABLE": "one_vmm_exec",
        "ARGUMENTS": "-t 15 -r 0 lxd",
        "TYPE": "xml",
        "KEEP_SNAPSHOTS": "no",
        "IMPORTED_VMS_ACTIONS": (
            "terminate, terminate-hard, reboot, reboot-hard, poweroff, poweroff-hard, "
            "suspend, resume, stop, delete, nic-attach, nic-detach"
        ),
    },
    {
        "NAME": "firecracker",
        "SUNSTONE_NAME": "Firecracker",
        "EXECUTABLE": "one_vmm_exec",
        "ARGUMENTS": "-t 15 -r 0 firecracker",
        "TYPE": "xml",
        "KEEP_SNAPSHOTS": "no",
    },
    {
        "NAME": "vcenter",
        "SUNSTONE_NAME": "VMWare vCenter",
        "EXECUTABLE": "one_vmm_sh",
        "ARGUMENTS": "-p -t 15 -r 0 -s sh vcenter",
        "TYPE": "xml",
        "KEEP_SNAPSHOTS": "yes",
        "DS_LIVE_MIGRATION": "yes",
        "COLD_NIC_ATTACH": "yes",
        "IMPORTED_VMS_ACTIONS": (
            "terminate, terminate-hard, hold, release, suspend, resume, delete, reboot, "
            "reboot-hard, resched, unresched, poweroff, poweroff-hard, disk-attach, disk-"
            "detach, nic-attach, nic-detach, snapshot-create, snapshot-delete, migrate, live-"
            "migrate"
        ),
    },
)

TM_MAD: tuple[Section, ...] = (
    {
        "EXECUTABLE": "one_tm",
        "ARGUMENTS": "-t 15 -d dummy,lvm,shared,fs_lvm,qcow2,ssh,ceph,dev,vcenter,iscsi_libvirt",
    },
)

DATASTORE_MAD: tuple[Section, ...] = (
    {
        "EXECUTABLE": "one_datastore",
        "ARGUMENTS": (
            "-t 15 -d dummy,fs,lvm,ceph,dev,iscsi_libvirt,vcenter -s shared,ssh,ceph,fs_lvm,qcow2,vcenter"
        ),
    },
)

MARKET_MAD: tuple[Section, ...] = (
    {"EXECUTABLE": "one_market", "ARGUMENTS": "-t 15 -m http,s3,one,linuxcontainers,turnkeylinux,dockerhub"},
)

IPAM_MAD: tuple[Section, ...] = ({"EXECUTABLE": "one_ipam", "ARGUMENTS": "-t 1 -i dummy"},)

HM_MAD: tuple[Section, ...] = ({"EXECUTABLE": "one_hm", "ARGUMENTS": "-p 2101 -l 2102 -b 127.0.0.1"},)

AUTH_MAD: tuple[Section, ...] = (
    {"EXECUTABLE": "one_auth_mad", "AUTHN": "ssh,x509,ldap,server_cipher,server_x509"},
)

TM_MAD_CONF: tuple[Section, ...] = (
    {"NAME": "dummy", "LN_TARGET": "NONE", "CLONE_TARGET": "SYSTEM", "SHARED": "YES", "DS_MIGRATE": "YES"},
    {"NAME": "lvm", "LN_TARGET": "NONE", "CLONE_TARGET": "SELF", "SHARED": "YES"},
    {
        "NAME": "shared",
        "LN_TARGET": "NONE",
        "CLONE_TARGET": "SYSTEM",
        "SHARED": "YES",
        "DS_MIGRATE": "YES",
        "TM_MAD_SYSTEM": "ssh",
        "LN_TARGET_SSH": "SYSTEM",
        "CLONE_TARGET_SSH": "SYSTEM",
        "DISK_TYPE_SSH": "FILE",
    },
    {"NAME": "fs_lvm", "LN_TARGET": "SYSTEM", "CLONE_TARGET": "SYSTEM", "SHARED": "YES", "DRIVER": "raw"},
    {
        "NAME": "qcow2",
        "LN_TARGET": "NONE",
        "CLONE_TARGET": "SYSTEM",
        "SHARED": "YES",
        "DS_MIGRATE": "YES",
        "TM_MAD_SYSTEM": "ssh",
        "LN_TARGET_SSH": "SYSTEM",
        "CLONE_TARGET_SSH": "SYSTEM",
        "DISK_TYPE_SSH": "FILE",
        "DRIVER": "qcow2",
    },
    {"NAME": "ssh", "LN_TARGET": "SYSTEM", "CLONE_TARGET": "SYSTEM", "SHARED": "NO", "DS_MIGRATE": "YES"},
    {
        "NAME": "ceph",
        "LN_TARGET": "NONE",
        "CLONE_TARGET": "SELF",
        "SHARED": "YES",
        "DS_MIGRATE": "NO",
        "DRIVER": "raw",
        "ALLOW_ORPHANS": "mixed",
        "TM_MAD_SYSTEM": "ssh,shared",
        "LN_TARGET_SSH": "SYSTEM",
        "CLONE_TARGET_SSH": "SYSTEM",
        "DISK_TYPE_SSH": "FILE",
        "LN_TARGET_SHARED": "NONE",
        "CLONE_TARGET_SHARED": "SELF",
        "DISK_TYPE_SHARED": "RBD",
    },
    {
        "NAME": "iscsi_libvirt",
        "LN_TARGET": "NONE",
        "CLONE_TARGET": "SELF",
        "SHARED": "YES",
        "DS_MIGRATE": "NO",
    },
    {
        "NAME": "dev",
        "LN_TARGET": "NONE",
        "CLONE_TARGET": "NONE",
        "SHARED": "YES",
        "TM_MAD_SYSTEM": "ssh,shared",
        "LN_TARGET_SSH": "SYSTEM",
        "LN_TARGET_SHARED": "NONE",
        "DISK_TYPE_SSH": "FILE",
        "DISK_TYPE_SHARED": "FILE",
        "CLONE_TARGET_SSH": "SYSTEM",
        "CLONE_TARGET_SHARED": "SELF",
    },
    {"NAME": "vcenter", "LN_TARGET": "NONE", "CLONE_TARGET": "SYSTEM", "SHARED": "YES"},
    # Built in: not in the original's file, but in what one.system.config answers.
    {
        "NAME": "vmfs",
        "LN_TARGET": "NONE",
        "CLONE_TARGET": "SYSTEM",
        "SHARED": "YES",
        "DS_MIGRATE": "NO",
        "DRIVER": "",
    },
)

DS_MAD_CONF: tuple[Section, ...] = (
    {
        "NAME": "ceph",
        "REQUIRED_ATTRS": "DISK_TYPE,BRIDGE_LIST",
        "PERSISTENT_ONLY": "NO",
        "MARKETPLACE_ACTIONS": "export",
    },
    {"NAME": "dev", "REQUIRED_ATTRS": "DISK_TYPE", "PERSISTENT_ONLY": "YES"},
    {"NAME": "iscsi_libvirt", "REQUIRED_ATTRS": "DISK_TYPE,ISCSI_HOST", "PERSISTENT_ONLY": "YES"},
    {"NAME": "dummy", "REQUIRED_ATTRS": "", "PERSISTENT_ONLY": "NO"},
    {"NAME": "fs", "REQUIRED_ATTRS": "", "PERSISTENT_ONLY": "NO", "MARKETPLACE_ACTIONS": "export"},
    {"NAME": "lvm", "REQUIRED_ATTRS": "DISK_TYPE,BRIDGE_LIST", "PERSISTENT_ONLY": "NO"},
    {
        "NAME": "vcenter",
        "REQUIRED_ATTRS": "VCENTER_INSTANCE_ID,VCENTER_DS_REF,VCENTER_DC_REF",
        "PERSISTENT_ONLY": "NO",
        "MARKETPLACE_ACTIONS": "export",
    },
    # Built in: not in the original's file, but in what one.system.config answers.
    {"NAME": "shared", "REQUIRED_ATTRS": "", "PERSISTENT_ONLY": "NO"},
    {"NAME": "ssh", "REQUIRED_ATTRS": "", "PERSISTENT_ONLY": "NO"},
    {"NAME": "vmfs", "REQUIRED_ATTRS": "BRIDGE_LIST", "PERSISTENT_ONLY": "NO"},
)

MARKET_MAD_CONF: tuple[Section, ...] = (
    {
        "NAME": "one",
        "SUNSTONE_NAME": "OpenNebula.org Marketplace",
        "REQUIRED_ATTRS": "",
        "APP_ACTIONS": "monitor",
        "PUBLIC": "yes",
    },
    {
        "NAME": "http",
        "SUNSTONE_NAME": "HTTP server",
        "REQUIRED_ATTRS": "BASE_URL,PUBLIC_DIR",
        "APP_ACTIONS": "create, delete, monitor",
    },
    {
        "NAME": "s3",
        "SUNSTONE_NAME": "Amazon S3",
        "REQUIRED_ATTRS": "ACCESS_KEY_ID,SECRET_ACCESS_KEY,REGION,BUCKET",
        "APP_ACTIONS": "create, delete, monitor",
    },
    {
        "NAME": "linuxcontainers",
        "SUNSTONE_NAME": "LinuxContainers.org",
        "REQUIRED_ATTRS": "",
        "APP_ACTIONS": "monitor",
        "PUBLIC": "yes",
    },
    {
        "NAME": "turnkeylinux",
        "SUNSTONE_NAME": "TurnkeyLinux",
        "REQUIRED_ATTRS": "",
        "APP_ACTIONS": "monitor",
        "PUBLIC": "yes",
    },
    {
        "NAME": "dockerhub",
        "SUNSTONE_NAME": "DockerHub",
        "REQUIRED_ATTRS": "",
        "APP_ACTIONS": "monitor",
        "PUBLIC": "yes",
    },
)

AUTH_MAD_CONF: tuple[Section, ...] = (
    {"NAME": "core", "PASSWORD_CHANGE": "YES", "DRIVER_MANAGED_GROUPS": "NO", "MAX_TOKEN_TIME": "-1"},
    {"NAME": "public", "PASSWORD_CHANGE": "NO", "DRIVER_MANAGED_GROUPS": "NO", "MAX_TOKEN_TIME": "-1"},
    {"NAME": "ssh", "PASSWORD_CHANGE": "YES", "DRIVER_MANAGED_GROUPS": "NO", "MAX_TOKEN_TIME": "-1"},
    {"NAME": "x509", "PASSWORD_CHANGE": "NO", "DRIVER_MANAGED_GROUPS": "NO", "MAX_TOKEN_TIME": "-1"},
    {"NAME": "ldap", "PASSWORD_CHANGE": "YES", "DRIVER_MANAGED_GROUPS": "YES", "MAX_TOKEN_TIME": "86400"},
    {"NAME": "server_cipher", "PASSWORD_CHANGE": "NO", "DRIVER_MANAGED_GROUPS": "NO", "MAX_TOKEN_TIME": "-1"},
    {"NAME": "server_x509", "PASSWORD_CHANGE": "NO", "DRIVER_MANAGED_GROUPS": "NO", "MAX_TOKEN_TIME": "-1"},
)

VN_MAD_CONF: tuple[Section, ...] = (
    {"NAME": "dummy", "BRIDGE_TYPE": "linux"},
    {"NAME": "802.1Q", "BRIDGE_TYPE": "linux"},
    {"NAME": "ebtables", "BRIDGE_TYPE": "linux"},
    {"NAME": "fw", "BRIDGE_TYPE": "linux"},
    {"NAME": "ovswitch", "BRIDGE_TYPE": "openvswitch"},
    {"NAME": "vxlan", "BRIDGE_TYPE": "linux"},
    {"NAME": "vcenter", "BRIDGE_TYPE": "vcenter_port_groups"},
    {"NAME": "ovswitch_vxlan", "BRIDGE_TYPE": "openvswitch"},
    {"NAME": "bridge", "BRIDGE_TYPE": "linux"},
)

MONITOR_DRIVERS: tuple[Section, ...] = (
    {
        "NAME": "kvm",
        "SUNSTONE_NAME": "KVM",
        "EXECUTABLE": "one_im_ssh",
        "ARGUMENTS": "-r 3 -t 15 -w 90 kvm",
        "THREADS": "0",
    },
    {
        "NAME": "lxd",
        "SUNSTONE_NAME": "LXD",
        "EXECUTABLE": "one_im_ssh",
        "ARGUMENTS": "-r 3 -t 15 -w 90 lxd",
        "THREADS": "0",
    },
    {
        "NAME": "firecracker",
        "SUNSTONE_NAME": "Firecracker",
        "EXECUTABLE": "one_im_ssh",
        "ARGUMENTS": "-r 3 -t 15 -w 90 firecracker",
        "THREADS": "0",
    },
    {
        "NAME": "vcenter",
        "SUNSTONE_NAME": "VMWare vCenter",
        "EXECUTABLE": "one_im_sh",
        "ARGUMENTS": "-c -t 15 -r 0 vcenter",
    },
)

# What `--drivers dummy` puts in place of the above, as recorded from a 5.12 on simulated drivers.
SANDBOX: Mapping[str, tuple[Section, ...]] = {
    "VM_MAD": (
        {
            "NAME": "dummy",
            "SUNSTONE_NAME": "Testing",
            "EXECUTABLE": "one_vmm_dummy",
            "TYPE": "xml",
            "KEEP_SNAPSHOTS": "yes",
        },
    ),
    "DATASTORE_MAD": (
        {
            "EXECUTABLE": "one_datastore",
            "ARGUMENTS": (
                "-t 15 -d dummy,fs,lvm,ceph,dev,iscsi_libvirt,vcenter "
                "-s dummy,shared,ssh,ceph,fs_lvm,qcow2,vcenter"
            ),
        },
    ),
}
