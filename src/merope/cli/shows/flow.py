"""The pages of services and of their templates."""

import json
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from merope.cli import formats, states
from merope.cli.context import Context
from merope.cli.flow import body_of, state_of
from merope.cli.page import OWNED, Page, cells
from merope.cli.view import View
from merope.cli.vm_table import host, memory, running_time
from merope.client import ClientError

Json = dict[str, Any]

_NODES = cells("VM_ID:9R~", "NAME:27L", "STAT:4L", "UCPU:6R", "UMEM:7R", "HOST:20L", "TIME:11R")
_RULES = cells("ADJUST:12L", "EXPRESSION:47L", "EVALS:7R", "PERIOD:7R")
_TIMES = cells("ADJUST:12L", "TIME:60L")


def service(ctx: Context, page: Page, document: Element) -> None:
    body = body_of(document)
    page.heading(f"SERVICE {document.findtext('ID')} INFORMATION")
    page.fields(OWNED, document)
    page.field("STRATEGY", str(body.get("deployment", "none")))
    page.field("SERVICE STATE", state_of(body))
    if body.get("shutdown_action"):
        page.field("SHUTDOWN", str(body["shutdown_action"]))
    if body.get("ready_status_gate"):
        page.field("READY GATE", "YES")
    if body.get("failure"):
        page.field("WHY", str(body["failure"]))
    page.line()
    page.permissions(document)
    page.line()
    _networks(page, body)
    vms = _vms(ctx, body)
    view = View(ctx.client)
    for role in body.get("roles", ()):
        _role(page, role, vms, view)
    page.heading("LOG MESSAGES")
    for entry in body.get("log", ()):
        date = formats.date(formats.integer(str(entry.get("timestamp", 0))))
        page.line(f"{date} [{entry.get('severity', 'I')}] {_clean(str(entry.get('message', '')))}")


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _networks(page: Page, body: Json) -> None:
    values = [(name, value) for item in body.get("networks_values", ()) for name, value in item.items()]
    for name, value in values:
        how = next((key for key in ("template_id", "reserve_from") if key in value), "")
        made = f" (from {how} {value[how]})" if how else ""
        page.field(f"NETWORK {name}", f"{value.get('id', '-')}{made}")
    if values:
        page.line()


def _vms(ctx: Context, body: Json) -> dict[str, Element]:
    """Documents of the service's VMs, as far as they may be seen."""
    wanted = [node["deploy_id"] for role in body.get("roles", ()) for node in role.get("nodes", ())]
    if not wanted:
        return {}
    try:
        found = ctx.client.pool("vm", start=min(wanted), end=max(wanted))
    except ClientError:
        return {}
    return {vm.findtext("ID", ""): vm for vm in found}


def _role(page: Page, role: Json, vms: dict[str, Element], view: View) -> None:
    page.heading(f"ROLE {role['name']}")
    page.field("ROLE STATE", state_of(role))
    if role.get("failure"):
        page.field("WHY", str(role["failure"]))
    if role.get("parents"):
        page.field("PARENTS", ", ".join(role["parents"]))
    page.field("CARDINALITY", str(role.get("cardinality", 1)))
    page.field("VM TEMPLATE", str(role.get("vm_template", "-")))
    page.line("NODES INFORMATION")
    page.table(_NODES, [_node(node, vms, view) for node in role.get("nodes", ())])
    page.line()
    rules = [*_rules(role)]
    schedule = role.get("scheduled_policies", ())
    times = [[_adjust(p), str(p.get("recurrence") or p.get("start_time"))] for p in schedule]
    if rules or times or role.get("min_vms") is not None or role.get("max_vms") is not None:
        page.line("ELASTICITY RULES")
        for label, key in (("MIN VMS", "min_vms"), ("MAX VMS", "max_vms"), ("COOLDOWN", "cooldown")):
            if role.get(key) is not None:
                page.field(label, str(role[key]))
        if rules:
            page.table(_RULES, rules)
        if times:
            page.table(_TIMES, times)
        page.line()


def _node(node: Json, vms: dict[str, Element], view: View) -> list[str]:
    """An arrow in front of a VM that comes or goes."""
    oid = str(node["deploy_id"])
    arrow = "↑ " if node.get("scale_up") else "↓ " if node.get("disposed") else ""
    vm = vms.get(oid)
    if vm is None:
        name = node.get("vm_info", {}).get("VM", {}).get("NAME", "")
        return [arrow + oid, name, "-", "-", "-", "-", "-"]
    return [
        arrow + oid,
        vm.findtext("NAME", ""),
        states.virtual_machine(vm.findtext("STATE"), vm.findtext("LCM_STATE")),
        vm.findtext("MONITORING/CPU", "0"),
        memory(vm, view),
        host(vm, view),
        running_time(vm, view),
    ]


def _rules(role: Json) -> Iterator[list[str]]:
    for policy in role.get("elasticity_policies", ()):
        wanted = max(1, policy.get("period_number", 0))
        shown = policy.get("expression_evaluated") or policy.get("expression", "")
        evals = f"{policy.get('true_evals', 0)} / {wanted}"
        yield [_adjust(policy), shown, evals, f"{policy.get('period', 0)}s"]


def _adjust(policy: Json) -> str:
    number = int(policy.get("adjust", 0))
    if policy.get("type") == "CARDINALITY":
        return f"= {number}"
    text = f"{'+' if number >= 0 else '-'} {abs(number)}"
    if policy.get("type") != "PERCENTAGE_CHANGE":
        return text
    step = policy.get("min_adjust_step")
    return f"{text} % ({step})" if step else f"{text} %"


def template(_: Context, page: Page, document: Element) -> None:
    page.heading(f"SERVICE TEMPLATE {document.findtext('ID')} INFORMATION")
    page.fields(OWNED, document)
    page.line()
    page.permissions(document)
    page.line()
    page.heading("TEMPLATE CONTENTS")
    page.line(json.dumps(body_of(document), indent=2, ensure_ascii=False))
