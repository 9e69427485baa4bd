"""What `oneuser` and `onegroup` share: quota columns, quota commands, the creation of a group."""

from collections.abc import Callable
from typing import NamedTuple
from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.context import Context
from merope.cli.declare import Command, file, ids, one
from merope.cli.errors import CliError, UsageError
from merope.cli.quotas import LIMITED_NOWHERE, ONEADMIN, limit_of, quota_template
from merope.cli.view import View
from merope.client import KINDS

#: Which types the users of a new group may create (spec drivers acl.new_group_by_cli).
RESOURCES = "VM+NET+IMAGE+TEMPLATE+DOCUMENT+SECGROUP+VROUTER+VMGROUP"

_WHERE = "VM_QUOTA/VM"


class QuotaCells(NamedTuple):
    """The cells VMS, MEMORY and CPU of a list; oneadmin, which quotas don't touch, has dashes."""

    root: str
    vms: str
    cpu: str

    def machines(self, el: Element, view: View) -> str:
        return self._cell(el, view, "VMS", self.vms, lambda used: str(int(used)), lambda limit: limit)

    def memory(self, el: Element, view: View) -> str:
        def shown(number: str | float) -> str:
            return formats.size(float(number), "M")

        return self._cell(el, view, "MEMORY", "{:>7} / {:>7}", shown, shown)

    def processors(self, el: Element, view: View) -> str:
        def shown(number: str | float) -> str:
            return f"{float(number):3.1f}"

        return self._cell(el, view, "CPU", self.cpu, shown, shown)

    def _cell(
        self,
        el: Element,
        view: View,
        metric: str,
        form: str,
        used: Callable[[float], str],
        limit: Callable[[str], str],
    ) -> str:
        if el.findtext("ID") == ONEADMIN:
            return LIMITED_NOWHERE
        default = None if view.pool is None else view.pool.find(f"DEFAULT_{self.root}_QUOTAS")
        quota = el.find(_WHERE)
        if quota is None:
            quota = Element("VM")
        allowed = limit_of(quota, default, _WHERE, metric)
        consumed = formats.number(quota.findtext(f"{metric}_USED"))
        return form.format(used(consumed), limit(allowed) if allowed else LIMITED_NOWHERE)


def quota_commands(kind: str) -> tuple[Command, ...]:
    label = KINDS[kind].label

    def one_quota(ctx: Context) -> None:
        oid = ctx.oid()
        text = ctx.read_template()
        if text is None:
            text = ctx.terminal.edit(quota_template(ctx.client.info(kind, oid)))
        if text is not None:
            ctx.client.call(f"one.{kind}.quota", oid, text)

    def batch(ctx: Context) -> int:
        text = ctx.read_template()
        if text is None:
            text = ctx.terminal.edit(quota_template(Element("QUOTAS")))
        if text is None:
            return 0
        quota = text
        return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call(f"one.{kind}.quota", oid, quota))

    def default(ctx: Context) -> None:
        text = ctx.read_template()
        if text is None:
            text = ctx.terminal.edit(quota_template(ctx.client.document(f"one.{kind}quota.info")))
        if text is not None:
            ctx.client.call(f"one.{kind}quota.update", text)

    return (
        Command(
            "quota",
            f"edit the limits of a {label}, or replace them by a file",
            one_quota,
            (one(kind), file()),
        ),
        Command("batchquota", f"set the same limits for several {label}s", batch, (ids(kind), file())),
        Command(
            "defaultquota", f"edit the limits of every {label} that has none of its own", default, (file(),)
        ),
    )


def create_group(ctx: Context) -> None:
    """The group, its administrator, and the rule that lets its users create objects in every zone."""
    name = ctx.optional_word("group_name") or ctx.option("name", str)
    if not name:
        raise UsageError("The group's name must be given.")
    admin = ctx.option("admin_user", str)
    password = ctx.option("admin_password", str)
    if admin and password is None:
        password = ctx.terminal.ask_password(f"Password of {admin}: ")
    gid = ctx.client.number("one.group.allocate", name)
    ctx.print_id(gid)
    create_rule(ctx, gid, ctx.option("resources", str) or RESOURCES)
    if admin:
        driver = ctx.option("admin_driver", str) or "core"
        uid = ctx.client.number("one.user.allocate", admin, password or "", driver, [gid])
        ctx.client.call("one.group.addadmin", gid, uid)


def create_rule(ctx: Context, gid: int, resources: str) -> None:
    from merope.model.acl import AclError, parse_rule

    try:
        rule = parse_rule(f"@{gid} {resources}/* CREATE *")
    except AclError as e:
        raise CliError(f"Group {gid} is there, but its users may not create anything: {e}") from e
    parts = (rule.user, rule.resource, rule.rights, rule.zone)
    ctx.client.call("one.acl.addrule", *(f"{part:x}" for part in parts))
