"""SNAPSHOTS of a disk or an image: which there are, what each was made of, and what the disk goes on from.

ALLOW_ORPHANS says what the storage can do. NO: a tree, in which a snapshot is made of the one that the disk
goes on from (ACTIVE). MIXED: a snapshot is made of the one that the disk was last taken back to
(CURRENT_BASE). YES: each stands for itself. Sizes are MB. Source: spec xml.yaml `SNAPSHOTS`, states.yaml
`disk-snapshot-*`.
"""

from merope.model.template import Template, Vector

NO, YES, MIXED, FORMAT = "NO", "YES", "MIXED", "FORMAT"
_NOTHING = "-1"


def none_yet(mode: str, disk_id: int | None = None) -> Template:
    """SNAPSHOTS of a disk, or of an image where `disk_id` is None, before there is a first one."""
    items: list[tuple[str, str | Vector]] = [
        ("ALLOW_ORPHANS", mode),
        ("CURRENT_BASE", _NOTHING),
        ("NEXT_SNAPSHOT", "0"),
    ]
    if disk_id is not None:
        items.append(("DISK_ID", str(disk_id)))
    return Template(items)


def find(snapshots: Template, number: int) -> Vector | None:
    wanted = str(number)
    return next((each for each in snapshots.vectors("SNAPSHOT") if each.get("ID") == wanted), None)


def active(snapshots: Template) -> Vector | None:
    """The snapshot that the disk goes on from."""
    return next((each for each in snapshots.vectors("SNAPSHOT") if each.get("ACTIVE") == "YES"), None)


def total_size(snapshots: Template) -> int:
    sizes = (each.get("SIZE", "0") for each in snapshots.vectors("SNAPSHOT"))
    return sum(int(size) for size in sizes if size.isdecimal())


def create(snapshots: Template, name: str, size: int, now: int) -> int:
    """Adds a snapshot that is being made; answers its ID. It is ACTIVE once `go_on_from` says so."""
    number = snapshots.get_int("NEXT_SNAPSHOT", 0) or 0
    parent = _parent_of_next(snapshots)
    made = Vector(ID=str(number), DATE=str(now), SIZE=str(size), PARENT=_NOTHING)
    if name:
        made["NAME"] = name
    if parent is not None:
        made["PARENT"] = parent["ID"]
        parent["CHILDREN"] = ",".join([*_children(parent), str(number)])
    snapshots.set("NEXT_SNAPSHOT", str(number + 1))
    snapshots.add("SNAPSHOT", made)
    return number


def _parent_of_next(snapshots: Template) -> Vector | None:
    mode = snapshots.get("ALLOW_ORPHANS", NO)
    if mode == MIXED:
        return find(snapshots, snapshots.get_int("CURRENT_BASE", -1) or 0)
    return active(snapshots) if mode == NO else None


def _children(snapshot: Vector) -> list[str]:
    return [word for word in snapshot.get("CHILDREN", "").split(",") if word]


def go_on_from(snapshots: Template, number: int, *, back: bool = False) -> None:
    """The disk goes on from a snapshot: one just made, or (`back`) one that it was taken back to."""
    chosen = find(snapshots, number)
    if chosen is None:
        return
    if snapshots.get("ALLOW_ORPHANS", NO) == MIXED:
        if not back:
            return
        snapshots.set("CURRENT_BASE", str(number))
    for each in snapshots.vectors("SNAPSHOT"):
        each.pop("ACTIVE", None)
    chosen["ACTIVE"] = "YES"


def remove(snapshots: Template, number: int) -> None:
    """A snapshot is gone, and its parent does not name it any more."""
    gone = find(snapshots, number)
    if gone is None:
        return
    kept = [each for each in snapshots.vectors("SNAPSHOT") if each is not gone]
    snapshots.remove("SNAPSHOT")
    for each in kept:
        if each["ID"] == gone.get("PARENT"):
            children = [word for word in _children(each) if word != gone["ID"]]
            each.pop("CHILDREN", None)
            if children:
                each["CHILDREN"] = ",".join(children)
        snapshots.add("SNAPSHOT", each)
    if snapshots.get("CURRENT_BASE") == gone["ID"]:
        snapshots.set("CURRENT_BASE", _NOTHING)


def deletion_fault(snapshots: Template, number: int) -> str:
    """Why a snapshot cannot be deleted; empty when it can."""
    found = find(snapshots, number)
    if found is None:
        return "Snapshot does not exist"
    if snapshots.get("ALLOW_ORPHANS", NO) == YES:
        return ""
    if found.get("ACTIVE") == "YES":
        return "Cannot delete the active snapshot"
    if _children(found):
        return "Cannot delete snapshot with children"
    return ""
