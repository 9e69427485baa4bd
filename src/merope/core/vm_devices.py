"""What requests about a VM's parts have together: their one vector, and how they are refused."""

from collections.abc import Iterator
from contextlib import contextmanager

from merope.core import generic
from merope.model.errors import ApiError, Code
from merope.model.template import Template
from merope.model.vm import VM

_LONGEST_NAME = 128


def one(source: str, vm_id: int, *names: str) -> Template:
    """The template of a request, which must have exactly one vector, of one of the names."""
    given = generic.parse_template(source)
    found = [(name, vector) for name in names for vector in given.vectors(name)]
    if len(found) != 1:
        words = " or ".join(names)
        raise ApiError(Code.ACTION, f"The template must have one {words}, not {len(found)}.", vm_id)
    return Template(found)


def refuse_router(vm: VM) -> None:
    """The devices of a virtual router's VMs are the router's to change."""
    if vm.template.get("VROUTER_ID"):
        raise ApiError(Code.ACTION, "Action is not supported for virtual router VMs", vm.id)


def wrong_state(vm: VM, what: str) -> ApiError:
    return ApiError(Code.ACTION, f"Could not {what}, wrong state {vm.phase.name}.", vm.id)


def check_name(name: str, vm_id: int) -> None:
    """Raises ApiError ACTION for a snapshot's name that is too long or cannot be shown."""
    if len(name) > _LONGEST_NAME or not (name.isprintable() or not name):
        raise ApiError(
            Code.ACTION, f"A snapshot's name has at most {_LONGEST_NAME} characters, all printable.", vm_id
        )


@contextmanager
def refusals(vm_id: int) -> Iterator[None]:
    """What cannot be had for a VM that is there is told as an action that failed, not as a VM that was not
    made."""
    try:
        yield
    except ApiError as error:
        if error.code not in (Code.ALLOCATE, Code.ACTION):
            raise
        raise ApiError(Code.ACTION, error.message, vm_id) from error
