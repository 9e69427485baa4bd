"""Apps of a marketplace: images and templates that are offered in it."""

from dataclasses import dataclass

from merope.model.document import Attributes, Cdata, Integer, Text, document, new_template
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions


@document("MARKETPLACEAPP")
@dataclass(slots=True)
class MarketplaceApp(Owned):
    """`size` in MB, `apptemplate64` the template of what is imported, in base64. NAME stands after
    REGTIME in this document. States and types: spec states.yaml `marketplaceapp`."""

    lock: OptionalLock = None
    regtime: Integer = 0
    name: Text
    zone_id: Cdata = "0"
    origin_id: Cdata = "-1"
    source: Cdata = ""
    md5: Cdata = ""
    size: Integer = 0
    description: Cdata = ""
    version: Cdata = ""
    format: Cdata = ""
    apptemplate64: Cdata = ""
    marketplace_id: Integer = -1
    marketplace: Text = ""
    state: Integer = 0
    type: Integer = 0
    permissions: PermissionBits = new_permissions()
    template: Attributes = new_template()
