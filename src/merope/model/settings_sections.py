"""Which keys a driver section of oned.conf may have (5.12 configuration facts, `driver_attrs`)."""

from merope.model.option import Choice, Integer, SectionKeys, Text, Words, YesNo

_TEXT = Text()
_NAME = Text(r"\S+", "a name without blanks")
_YES_NO = YesNo()
_TARGET = Choice(("NONE", "SELF", "SYSTEM"))

MAD_KEYS: SectionKeys = {
    "NAME": _NAME,
    "SUNSTONE_NAME": _TEXT,
    "EXECUTABLE": _TEXT,
    "ARGUMENTS": _TEXT,
    "THREADS": Integer(0),
    "AUTHN": Words(),
    "AUTHZ": _TEXT,
}

VM_MAD_KEYS: SectionKeys = {
    "NAME": _NAME,
    "SUNSTONE_NAME": _TEXT,
    "EXECUTABLE": _TEXT,
    "ARGUMENTS": _TEXT,
    "DEFAULT": _TEXT,
    "TYPE": Choice(("kvm", "qemu", "xen", "xml")),
    "KEEP_SNAPSHOTS": _YES_NO,
    "IMPORTED_VMS_ACTIONS": Words(),
    "COLD_NIC_ATTACH": _YES_NO,
    "DS_LIVE_MIGRATION": _YES_NO,
}

TM_MAD_CONF_KEYS: SectionKeys = {
    "NAME": _NAME,
    "LN_TARGET": _TARGET,
    "CLONE_TARGET": _TARGET,
    "SHARED": _YES_NO,
    "DS_MIGRATE": _YES_NO,
    "ALLOW_ORPHANS": Choice(("YES", "NO", "MIXED")),
    "DRIVER": _TEXT,
    "TM_MAD_SYSTEM": Words(),
    "LN_TARGET_*": _TARGET,
    "CLONE_TARGET_*": _TARGET,
    "DISK_TYPE_*": _TEXT,
}

DS_MAD_CONF_KEYS: SectionKeys = {
    "NAME": _NAME,
    "REQUIRED_ATTRS": Words(),
    "PERSISTENT_ONLY": _YES_NO,
    "MARKETPLACE_ACTIONS": Words(),
}

MARKET_MAD_CONF_KEYS: SectionKeys = {
    "NAME": _NAME,
    "SUNSTONE_NAME": _TEXT,
    "REQUIRED_ATTRS": Words(),
    "APP_ACTIONS": Words(frozenset({"create", "delete", "monitor"})),
    "PUBLIC": _YES_NO,
}

AUTH_MAD_CONF_KEYS: SectionKeys = {
    "NAME": _NAME,
    "PASSWORD_CHANGE": _YES_NO,
    "DRIVER_MANAGED_GROUPS": _YES_NO,
    "MAX_TOKEN_TIME": Integer(-1),
}

VN_MAD_CONF_KEYS: SectionKeys = {
    "NAME": _NAME,
    "BRIDGE_TYPE": Choice(("linux", "openvswitch", "vcenter_port_groups", "none")),
}
