"""Every module that declares methods or takes results: importing this one fills the tables."""

from importlib import import_module

_NAMES = (
    "accounting",
    "acl",
    "cluster",
    "datastore",
    "document",
    "federated",
    "generic",
    "group",
    "hook",
    "hook_log",
    "host",
    "image",
    "image_create",
    "marketplace",
    "marketplace_app",
    "quota",
    "security_group",
    "showback",
    "system",
    "template",
    "user",
    "vdc",
    "vm",
    "vm_deploy",
    "vm_disk_plug",
    "vm_group",
    "vm_nic_plug",
    "vm_recover",
    "vm_results",
    "vm_updateconf",
    "vn_template",
    "vnet",
    "vrouter",
    "zone",
)

MODULES = tuple(import_module(f"merope.core.{name}") for name in _NAMES)