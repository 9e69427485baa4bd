"""Images: disks, CD-ROMs and files that VMs are given."""

from dataclasses import dataclass, field

from merope.model.document import Attributes, Cdata, IdSet, Integer, Text, document, new_ids, new_template
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions
from merope.model.template import Template


def no_snapshots() -> Template:
    """SNAPSHOTS of an image or a disk that has none."""
    return Template([("ALLOW_ORPHANS", "NO"), ("CURRENT_BASE", "-1"), ("NEXT_SNAPSHOT", "0")])


@document("IMAGE")
@dataclass(slots=True)
class Image(Owned):
    """`type` is an ImageType, `state` an ImageState, `disk_type` a DiskType; `size` in MB."""

    lock: OptionalLock = None
    permissions: PermissionBits = new_permissions()
    type: Integer = 0
    disk_type: Integer = 0
    persistent: Integer = 0
    regtime: Integer = 0
    source: Cdata = ""
    path: Cdata = ""
    fstype: Cdata = ""
    size: Integer = 0
    state: Integer = 0
    running_vms: Integer = 0
    cloning_ops: Integer = 0
    cloning_id: Integer = -1
    target_snapshot: Integer = -1
    datastore_id: Integer = -1
    datastore: Text = ""
    vms: IdSet = new_ids()
    clones: IdSet = new_ids()
    app_clones: IdSet = new_ids()
    template: Attributes = new_template()
    snapshots: Attributes = field(default_factory=no_snapshots)
