"""oneacl: access rules."""

from xml.etree.ElementTree import Element

from merope.cli import values
from merope.cli.context import Context
from merope.cli.declare import Arg, Command, Tool, column, word
from merope.cli.errors import CliError
from merope.cli.listing import list_commands
from merope.cli.view import View, text

#: The letter of each type, in the order of the RES column.
_TYPES = {
    "VM": "V",
    "HOST": "H",
    "NET": "N",
    "IMAGE": "I",
    "USER": "U",
    "TEMPLATE": "T",
    "GROUP": "G",
    "DATASTORE": "D",
    "CLUSTER": "C",
    "DOCUMENT": "O",
    "ZONE": "Z",
    "SECGROUP": "S",
    "VDC": "v",
    "VROUTER": "R",
    "MARKETPLACE": "M",
    "MARKETPLACEAPP": "A",
    "VMGROUP": "P",
    "VNTEMPLATE": "t",
}
_RIGHTS = {"USE": "u", "MANAGE": "m", "ADMIN": "a", "CREATE": "c"}
_FIELDS = 4


def _fields(rule: Element) -> list[str]:
    """`@1 VM+NET/* USE *` in its four parts."""
    parts = rule.findtext("STRING", "").split()
    return parts if len(parts) == _FIELDS else ["", "/", "", ""]


def _resources(rule: Element, _: View) -> str:
    named = _fields(rule)[1].partition("/")[0].split("+")
    return "".join(letter if name in named else "-" for name, letter in _TYPES.items())


def _rights(rule: Element, _: View) -> str:
    named = _fields(rule)[2].split("+")
    return "".join(letter if name in named else "-" for name, letter in _RIGHTS.items())


def _create(ctx: Context) -> None:
    from merope.model.acl import AclError, parse_rule, validate

    given = [ctx.word("user|rulestr")]
    given += [w for name in ("resource", "rights", "zone") if (w := ctx.optional_word(name))]
    if len(given) > 1:
        # The components as the API takes them, in hexadecimal.
        ctx.print_id(ctx.client.number("one.acl.addrule", *given))
        return
    try:
        rule = parse_rule(given[0])
    except AclError as e:
        raise CliError(str(e)) from e
    if faults := validate(rule):
        raise CliError(f"Rule {rule.to_string()} is malformed: {'; '.join(faults)}")
    parts = [f"{part:x}" for part in (rule.user, rule.resource, rule.rights, rule.zone)]
    # Without a zone the cloud takes its own.
    ctx.print_id(ctx.client.number("one.acl.addrule", *parts[: len(given[0].split())]))


def _delete(ctx: Context) -> int:
    rules = ctx.argument("range", list)
    if wrong := [r for r in rules if not isinstance(r, int)]:
        raise CliError(f"Rules have ids and no names; '{wrong[0]}' is no id.")
    return ctx.for_each(rules, lambda oid: ctx.client.call("one.acl.delrule", oid))


TOOL = Tool(
    "oneacl",
    "acl",
    "access rules: who may do what with which objects",
    (
        Command(
            "create",
            'add a rule: "<user> <TYPE+TYPE>/<objects> <RIGHT+RIGHT> [<zone>]", or its components in hex',
            _create,
            (
                word("user|rulestr"),
                word("resource", optional=True),
                word("rights", optional=True),
                word("zone", optional=True),
            ),
            examples=(
                'create "#3 VM+NET/* USE+MANAGE #0"',
                'create "@100 HOST/%0 MANAGE"',
                'create "* ZONE/* USE *"',
            ),
        ),
        Command(
            "delete", "remove rules", _delete, (Arg("range", values.id_list),), examples=("delete 3..5",)
        ),
        *list_commands("acl", top=False),
    ),
    (
        column("ID:4R~", "the rule's id", text("ID")),
        column("USER:8R", "to whom: # user, @ group, * everybody", lambda r, _: _fields(r)[0]),
        column("RES_VHNIUTGDCOZSvRMAPt:22R", f"types of objects: {', '.join(_TYPES)}", _resources),
        column(
            "RID:5R",
            "objects: # one, @ of a group, % of a cluster, * all",
            lambda r, _: _fields(r)[1].partition("/")[2],
        ),
        column("OPE_UMAC:8R", "rights: use, manage, admin, create", _rights),
        column("ZONE:5R", "the zone: # one, * all", lambda r, _: _fields(r)[3]),
    ),
    (column("STRING:6L~", "the rule as text", text("STRING")),),
)
