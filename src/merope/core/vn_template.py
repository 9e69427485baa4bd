"""Virtual network templates: commands, and making networks of them.

Source: spec xmlrpc.yaml `one.vntemplate.*`, recorded vntemplate.xml.
"""

from merope.core import acl, authorization, behalf, generic, vm_requests, vnet
from merope.core.host import DEFAULT_CLUSTER
from merope.core.methods import Need, integer, method, text
from merope.core.transaction import Transaction
from merope.model.cluster import Cluster
from merope.model.document import Document
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template, restricted_attribute
from merope.model.vn_template import VnTemplate

_USE = Need(Op.USE, VnTemplate, "id")
_CREATE = Need(Op.CREATE, VnTemplate)


@method("one.vntemplate.allocate", text("template"), needs=(_CREATE,))
def allocate(tx: Transaction, source: str) -> int:
    """Registers a template; all but its driver is checked when a network is made of it."""
    template = generic.parse_template(source)
    _check_restricted(tx, template, "Template")
    name = generic.take_name(tx, VnTemplate, template, tx.caller.uid)
    fault = _fault(tx, template)
    if fault:
        raise generic.allocate_error(fault)
    return _add(tx, name, template)


def _check_restricted(tx: Transaction, template: Template, what: str, base: Template | None = None) -> None:
    if tx.caller.is_admin:
        return
    found = restricted_attribute(template, tx.settings.vnet_restricted_attr, base)
    if found is not None:
        raise authorization.denied(tx.caller, f"{what} includes a restricted attribute {found}")


def _fault(tx: Transaction, template: Template) -> str:
    """Why a template makes no network, whatever is added to it; empty when it may make one."""
    driver = template.get("VN_MAD")
    if not driver:
        return "No VN_MAD in template for Virtual Network Template."
    if driver not in tx.settings.vn_mad_conf:
        return f'VN_MAD named "{driver[:64]}" is not defined in oned.conf'
    return ""


def _add(tx: Transaction, name: str, template: Template) -> int:
    new = VnTemplate(
        id=tx.new_id(VnTemplate),
        name=name,
        **generic.owned_by_caller(tx),
        regtime=tx.now,
        template=template,
    )
    tx.add(new)
    return new.id


@method("one.vntemplate.clone", integer("id"), text("name"), needs=(_CREATE, _USE))
def clone(tx: Transaction, oid: int, name: str) -> int:
    """Copies a template."""
    generic.check_new_name(tx, VnTemplate, name, tx.caller.uid)
    return _add(tx, name, tx.get(VnTemplate, oid).template.copy())


@method("one.vntemplate.delete", integer("id"), needs=(Need(Op.MANAGE, VnTemplate, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a template; networks that were made of it stay."""
    acl.drop_rules_about(tx, ObjectType.VNTEMPLATE, oid)
    tx.delete(tx.get(VnTemplate, oid))
    return oid


@generic.checks_updates(VnTemplate)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    assert isinstance(value, VnTemplate)
    new.remove("NAME")
    generic.check_restricted(tx, tx.settings.vnet_restricted_attr, new, value.template, value.id)
    fault = _fault(tx, new)
    if fault:
        raise generic.update_error(fault, value.id)
    return new


@method("one.vntemplate.instantiate", integer("id"), text("name"), text("extra"), needs=(_USE,))
def instantiate(tx: Transaction, oid: int, name: str, extra: str) -> int:
    """Makes a network of a template with `extra` merged over it, in the template's CLUSTER_IDS."""
    used = tx.get(VnTemplate, oid)
    template = used.template.copy()
    clusters = _clusters(tx, template.get("CLUSTER_IDS"))
    wanted = generic.parse_template(extra)
    if wanted:
        _check_restricted(tx, wanted, "User Template", template)
        template.merge(wanted)
    template.remove("NAME")
    if name:
        template.set("NAME", name)
    template.set("TEMPLATE_ID", str(oid))
    template.set("TEMPLATE_NAME", used.name)
    return vnet.make(tx, template, clusters, behalf.take_owner(tx, template)).id


def _clusters(tx: Transaction, listed: str) -> list[int]:
    """The clusters of a list that are (still) there; the default one where there is no list."""
    if not listed:
        return [DEFAULT_CLUSTER]
    numbers = {vm_requests.whole(word.strip()) for word in listed.split(",")}
    return sorted(oid for oid in numbers if oid is not None and tx.find(Cluster, oid) is not None)
