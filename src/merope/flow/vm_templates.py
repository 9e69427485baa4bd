"""What a VM of a role is made with: the role's attributes with names filled in, and whose it is.

Source: spec drivers.yaml `oneflow.vm_user_template`; seed 002 SR2.8.
"""

import re
from collections.abc import Mapping

from merope.flow.service import Role, Service
from merope.model.template import Template, Vector

_NAMED = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def vm_name(template: str, service: Service, role: str, number: int) -> str:
    """`template` has $SERVICE_ID, $SERVICE_NAME, $ROLE_NAME and $VM_NUMBER."""
    known = {
        "SERVICE_ID": str(service.id),
        "SERVICE_NAME": service.name,
        "ROLE_NAME": role,
        "VM_NUMBER": str(number),
    }
    made = template
    for name, value in known.items():
        made = made.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return made[:128]


def network_name(template: str, service: Service, network: str) -> str:
    return vm_name(template, service, network, 0)


def filled(contents: str, values: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` of known names; a value cannot end the text in which it stands."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values:
            return match[0]
        plain = values[name].replace("\\", "\\\\").replace('"', '\\"')
        return re.sub(r"[\r\n]+", " ", plain)

    return _NAMED.sub(value, contents)


def extra_template(service: Service, role: Role, context: Vector | None) -> Template:
    """Merged over the VM template; `context` is the CONTEXT of that one. Raises TemplateError (ValueError).

    Custom attributes are in FLOW_CONTEXT for everybody to see, and in the guest's CONTEXT.
    """
    attributes = service.custom_attrs_values
    networks = {network.name: str(network.id) for network in service.networks if network.id is not None}
    made = Template.parse(filled(role.vm_template_contents, {**attributes, **networks}))
    made.set("SERVICE_ID", str(service.id))
    made.set("ROLE_NAME", role.name)
    if attributes:
        made.set("FLOW_CONTEXT", Vector(attributes))
        own = made.vector("CONTEXT") or context
        if own is not None:
            made.set("CONTEXT", Vector({**{k.upper(): v for k, v in attributes.items()}, **own}))
    return made
