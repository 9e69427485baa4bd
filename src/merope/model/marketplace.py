"""Marketplaces: where appliances come from."""

from dataclasses import dataclass

from merope.model.document import Attributes, Cdata, IdSet, Integer, document, new_ids, new_template
from merope.model.owned import Owned, PermissionBits, new_permissions


@document("MARKETPLACE")
@dataclass(slots=True)
class Marketplace(Owned):
    """Capacity in MB."""

    market_mad: Cdata = ""
    zone_id: Cdata = "0"
    total_mb: Integer = 0
    free_mb: Integer = 0
    used_mb: Integer = 0
    marketplaceapps: IdSet = new_ids()
    permissions: PermissionBits = new_permissions()
    template: Attributes = new_template()
