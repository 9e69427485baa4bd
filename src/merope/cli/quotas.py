"""Quotas as the lists show them and as templates to edit."""

from xml.etree.ElementTree import Element

LIMITED_NOWHERE = "-"
#: The id of the user and of the group that quotas never touch.
ONEADMIN = "0"

_HELP = """\
# Limits, one section for each resource; lines that begin with # are ignored.
#   VM        = [ VMS, CPU, MEMORY (MB), SYSTEM_DISK_SIZE (MB), RUNNING_VMS, RUNNING_CPU, RUNNING_MEMORY ]
#   DATASTORE = [ ID, IMAGES, SIZE (MB) ]
#   NETWORK   = [ ID, LEASES ]
#   IMAGE     = [ ID, RVMS ]      running machines that use the image
# -1: the default quota holds, -2: no limit, 0: nothing at all.
"""

_METRICS = {
    "VM": (
        "VMS",
        "RUNNING_VMS",
        "CPU",
        "RUNNING_CPU",
        "MEMORY",
        "RUNNING_MEMORY",
        "SYSTEM_DISK_SIZE",
    ),
    "DATASTORE": ("ID", "IMAGES", "SIZE"),
    "NETWORK": ("ID", "LEASES"),
    "IMAGE": ("ID", "RVMS"),
}


def limit_of(quota: Element, default: Element | None, where: str, metric: str) -> str:
    """The limit that holds, "" when there is none.

    -2 is no limit; -1 the default's, which is found at `where` (with the same ID, if there are ids).
    """
    limit = quota.findtext(metric, "-1")
    if limit == "-1" and default is not None:
        oid = quota.findtext("ID")
        same = (d for d in default.iterfind(where) if d.findtext("ID") == oid)
        found = next(same, None)
        limit = "-1" if found is None else found.findtext(metric, "-1")
    return "" if limit in ("-1", "-2") else limit


def quota_template(document: Element) -> str:
    """The limits of a user, a group or the defaults as a template to edit, with what may stand there."""
    from merope.model.template import Template, Vector

    template = Template()
    for name, metrics in _METRICS.items():
        for quota in document.iterfind(f"{name}_QUOTA/{name}"):
            template.add(name, Vector((m, quota.findtext(m, "-1")) for m in metrics))
    return _HELP + template.to_text()


def join_quotas(pool: Element, root: str) -> list[Element]:
    """The users or groups of a pool, each with the quotas that the pool holds beside it."""
    quotas = {q.findtext("ID"): q for q in pool.iterfind("QUOTAS")}
    members = pool.findall(root)
    for member in members:
        if (quota := quotas.get(member.findtext("ID"))) is not None:
            member.extend(child for child in quota if child.tag != "ID")
    return members
