"""What is only written down, and what is written onto objects of any kind."""

from merope.simulation.deeds.call import Call, Deed, any_of
from merope.simulation.draws import Draw


def _edit(draw: Draw) -> Call:
    api = draw.one(("vm", "vm", "host", "image", "vn", "datastore", "template", "cluster", "secgroup"))
    what = draw.one(("update", "update", "rename", "lock", "unlock"))
    if what == "update":
        text = draw.one(
            ('NOTE="n"', 'RULE=[PROTOCOL="ICMP",RULE_TYPE="OUTBOUND"]', 'RESERVED_CPU="100"', 'X="<"')
        )
        return f"one.{api}.update", [draw.oid(api), text, draw.one((0, 1))], draw.user()
    if what == "rename":
        api = api if api != "host" else "vm"
        return f"one.{api}.rename", [draw.oid(api), draw.one(("web", "db", "third", ""))], draw.user()
    lockable = api if api in ("vm", "image", "vn", "template") else "vm"
    level = [draw.one((0, 1, 2, 3, 4)), draw.likely(0.3)] if what == "lock" else []
    return f"one.{lockable}.{what}", [draw.oid(lockable), *level], draw.user()


def _papers(draw: Draw) -> Call:
    """What is only written down: groups of VMs, templates of networks, documents, hooks."""
    user, name = draw.user(), f"name{draw.chance.randrange(3)}"
    group, hook = draw.oid("vmgroup"), draw.oid("hook")
    return any_of(
        draw,
        ("one.vmgroup.allocate", [f"NAME={name}\nROLE=[NAME=a]\nROLE=[NAME=b]"], user),
        ("one.vmgroup.update", [group, draw.one(('AFFINED="a,b"', "NOTE=x")), 1], user),
        ("one.vmgroup.delete", [group], user),
        ("one.vntemplate.instantiate", [draw.oid("vntemplate"), name, ""], user),
        ("one.document.allocate", [f"NAME={name}", draw.one((100, 101))], user),
        ("one.document.clone", [draw.oid("document"), name], user),
        ("one.document.delete", [draw.oid("document")], user),
        ("one.hook.allocate", [f"NAME={name}\nTYPE=api\nCALL=one.vm.allocate\nCOMMAND=x"], 0),
        ("one.hook.delete", [hook], 0),
        ("one.hook.lock", [hook, draw.one((1, 4)), False], 0),
    )


DEEDS: tuple[tuple[Deed, int], ...] = ((_edit, 4), (_papers, 3))
