"""Files from datastores that a VM is given: kernel and initial RAM disk, and what goes into its context.

`$FILE[IMAGE="name", IMAGE_UNAME="owner"]` and `$FILE[IMAGE_ID=3]` (spec templates.yaml `variables`).
"""

import re

from merope.core import authorization, vm_named
from merope.core.transaction import Transaction
from merope.core.vm_requests import shown
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import Op
from merope.model.states import ImageState, ImageType
from merope.model.template import Template, Vector

# Neither looks at a character twice: a megabyte of "$FILE[" or of letters must not hold up the cloud. No name
# has a "$" or a bracket.
_FILE = re.compile(r"\$FILE\[([^\]\[$]*+)\]")
_PAIR = re.compile(r'(?<![A-Za-z_])([A-Za-z_]++)\s*+=\s*+(?:"([^"]*+)"|([A-Za-z0-9_]++))')
_USABLE = (ImageState.READY, ImageState.USED, ImageState.USED_PERS)
_KERNELS = (("KERNEL", ImageType.KERNEL), ("INITRD", ImageType.RAMDISK))
_OF_KERNEL = ("ID", "SOURCE", "DSID", "TM", "CLUSTER_ID")


def resolve(tx: Transaction, template: Template, uid: int) -> None:
    """Replaces every $FILE by what it names; raises ApiError AUTHORIZATION when the caller may not USE it."""
    for system in template.vectors("OS"):
        for name, kind in _KERNELS:
            # Only what is named here may say which file is taken.
            for key in _OF_KERNEL:
                system.pop(f"{name}_DS_{key}", None)
            stated = system.get(f"{name}_DS", "")
            found = _files(tx, stated, uid, kind)
            if stated and len(found) != 1:
                raise ApiError(
                    Code.ALLOCATE, f"OS: {name}_DS must be one $FILE[IMAGE=…], not {shown(stated)}."
                )
            for used in found:
                _fill_kernel(tx, system, name, used)
    context = template.vector("CONTEXT")
    if context is not None and context.get("FILES_DS"):
        used_files = _files(tx, context["FILES_DS"], uid, ImageType.CONTEXT)
        context["FILES_DS"] = " ".join(f"{used.source}:'{used.name}'" for used in used_files)


def _fill_kernel(tx: Transaction, system: Vector, name: str, used: Image) -> None:
    datastore = tx.get(Datastore, used.datastore_id)
    system[f"{name}_DS_ID"] = str(used.id)
    system[f"{name}_DS_SOURCE"] = used.source
    system[f"{name}_DS_DSID"] = str(datastore.id)
    system[f"{name}_DS_TM"] = datastore.tm_mad
    system[f"{name}_DS_CLUSTER_ID"] = ",".join(map(str, sorted(datastore.clusters)))


def _files(tx: Transaction, text: str, uid: int, kind: ImageType) -> list[Image]:
    found = []
    for match in _FILE.finditer(text):
        pairs = {key.upper(): quoted or plain for key, quoted, plain in _PAIR.findall(match[1])}
        used = _image(tx, Vector(pairs), uid)
        # Before anything is said about it.
        authorization.require(tx, authorization.on(Op.USE, used))
        if used.type != kind:
            raise ApiError(
                Code.ALLOCATE,
                f"{match[0]}: image {used.id} is of type {ImageType(used.type).name}, not {kind.name}.",
            )
        if used.state not in _USABLE:
            raise ApiError(
                Code.ALLOCATE,
                f"{match[0]}: image {used.id} is {ImageState(used.state).name}; it must be READY.",
            )
        found.append(used)
    return found


def _image(tx: Transaction, named: Vector, uid: int) -> Image:
    used = vm_named.by_id(tx, Image, named, "IMAGE")
    return used if used is not None else vm_named.by_name(tx, Image, named, "IMAGE", uid, "$FILE")
