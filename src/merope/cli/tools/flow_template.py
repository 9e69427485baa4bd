"""oneflow-template: templates of services."""

import json
from typing import Any

from merope.cli import values
from merope.cli.context import Context
from merope.cli.declare import Command, Tool, column, file, flag, ids, one, opt, word
from merope.cli.errors import CliError
from merope.cli.flow import (
    body_of,
    delete,
    flow,
    ownership_commands,
    parsed,
    path,
    perform,
    print_json,
    read_json,
)
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.user_inputs import Question, answers
from merope.cli.view import group, text, user

_KIND = "service_template"


def _page() -> tuple[int, Show]:
    from merope.cli.shows.flow import template

    return 18, template


def _create(ctx: Context) -> None:
    made = flow(ctx).ask("POST", "/service_template", read_json(ctx))
    ctx.print_id(int(made["DOCUMENT"]["ID"]))


def _instantiate(ctx: Context) -> None:
    oid, merge = ctx.oid(), read_json(ctx) if ctx.has("file") else {}
    if not isinstance(merge, dict):
        raise CliError("The file must have a JSON object, which is merged over the template.")
    template = {**body_of(ctx.client.info(_KIND, oid)), **merge}
    if asked := _answers(ctx, template):
        merge["custom_attrs_values"] = {**template.get("custom_attrs_values", {}), **asked}
    for _ in range(ctx.option("multiple", int) or 1):
        made = perform(ctx, oid, "instantiate", **({"merge_template": merge} if merge else {}))
        ctx.print_id(int(made["DOCUMENT"]["ID"]))


def _answers(ctx: Context, template: dict[str, Any]) -> dict[str, str]:
    """What a person answers to the custom attributes that have no value."""
    if not ctx.terminal.interactive:
        return {}
    given = template.get("custom_attrs_values", {})
    declared = template.get("custom_attrs", {})
    asked = [Question.parse(name, form) for name, form in declared.items() if not given.get(name)]
    found = answers(ctx, asked) if asked else None
    return {q.name: value for q in asked if found is not None and (value := found.get(q.name))}


def _clone(ctx: Context) -> None:
    how = "templates" if ctx.flag("recursive-templates") else "all" if ctx.flag("recursive") else None
    made = perform(ctx, ctx.oid(), "clone", name=ctx.word("name"), **({"recursive": how} if how else {}))
    ctx.print_id(int(made["DOCUMENT"]["ID"]))


def _update(ctx: Context) -> None:
    oid = ctx.oid()
    if ctx.has("file"):
        template = read_json(ctx)
    else:
        before = json.dumps(body_of(ctx.client.info(_KIND, oid)), indent=2, ensure_ascii=False)
        text = ctx.terminal.edit(before)
        if text is None:
            ctx.say("Nothing was changed.")
            return
        template = parsed(text, "what was written")
    if ctx.flag("append"):
        perform(ctx, oid, "update", append=True, template_json=json.dumps(template))
    else:
        flow(ctx).ask("PUT", path(_KIND, oid), template)


TOOL = Tool(
    "oneflow-template",
    _KIND,
    "templates of services",
    (
        *list_commands(_KIND, print_as=print_json),
        show_command(_KIND, _page, print_as=print_json),
        Command(
            "create", "make a template from a file of JSON", _create, (file(optional=False),),
            examples=("create shop.json", "create -"),
        ),
        Command("delete", "delete templates", delete, (ids(_KIND),)),
        Command(
            "instantiate",
            "begin a service; a file of JSON is merged over the template (name, networks_values …)",
            _instantiate,
            (one(_KIND), file()),
            (opt("--multiple", "x", "begin that many", "-m", values.natural),),
            ("instantiate shop", "instantiate shop values.json -m 2"),
        ),
        *ownership_commands(_KIND),
        Command(
            "clone",
            "copy a template",
            _clone,
            (one(_KIND), word("name")),
            (
                flag("--recursive", "also its VM templates and their images", "-r"),
                flag("--recursive-templates", "also its VM templates"),
            ),
        ),
        Command(
            "update",
            "edit a template, or replace it by a file of JSON",
            _update,
            (one(_KIND), file()),
            (flag("--append", "put the keys of the file over those that are there", "-a"),),
        ),
    ),
    (
        column("ID:4R~", "the template's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:15L+", "its name", text("NAME")),
    ),
)  # fmt: skip
