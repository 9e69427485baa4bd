"""Datastores: where images and the disks of running VMs are."""

from dataclasses import dataclass

from merope.model.document import Attributes, Cdata, IdSet, Integer, document, new_ids, new_template
from merope.model.owned import Owned, PermissionBits, new_permissions


@document("DATASTORE")
@dataclass(slots=True)
class Datastore(Owned):
    """`type` is a DatastoreType, `state` a DatastoreState, `disk_type` a DiskType; capacity in MB."""

    permissions: PermissionBits = new_permissions()
    ds_mad: Cdata = ""
    tm_mad: Cdata = ""
    base_path: Cdata = ""
    type: Integer = 0
    disk_type: Integer = 0
    state: Integer = 0
    clusters: IdSet = new_ids()
    total_mb: Integer = 0
    free_mb: Integer = 0
    used_mb: Integer = 0
    images: IdSet = new_ids()
    template: Attributes = new_template()
