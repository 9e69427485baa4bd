"""What `onetemplate` does beyond calling one method."""

from merope.cli.context import Context
from merope.cli.user_inputs import answers, questions
from merope.cli.vm_create import merged, parsed, template_text
from merope.cli.vm_options import template_from_options
from merope.model.template import Template


def create(ctx: Context) -> None:
    text = template_text(ctx)
    if name := ctx.option("name", str):
        text = merged(text, Template([("NAME", name)]).to_text())
    if ctx.flag("dry"):
        ctx.print(text.rstrip("\n"))
        return
    ctx.print_id(ctx.client.number("one.template.allocate", text))


def delete(ctx: Context) -> int:
    recursive = ctx.flag("recursive")
    return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call("one.template.delete", oid, recursive))


def instantiate(ctx: Context) -> None:
    oid = ctx.oid()
    name = ctx.option("name", str) or ""
    extra = extra_template(ctx, oid)
    for number in range(ctx.option("multiple", int) or 1):
        ctx.print_id(
            ctx.client.number(
                "one.template.instantiate",
                oid,
                name.replace("%i", str(number)),
                ctx.flag("hold"),
                extra,
                ctx.flag("persistent"),
            ),
            "VM",
        )


def extra_template(ctx: Context, oid: int) -> str:
    """What is laid over the template: the file, the options, the answers to its questions."""
    template = parsed(ctx.read_template() or "")
    template.merge(parsed(template_from_options(ctx)))
    asked = [q for q in questions(ctx.client.info("template", oid)) if q.name not in template]
    if asked:
        template.merge(answers(ctx, asked))
    return template.to_text()
