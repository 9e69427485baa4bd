"""Snapshots of whole guests, memory and disks, through libvirt.

They are inside the qcow2 disks. What libvirt knows of them ends with the domain, which is transient, so it
is written beside the disks as well (`snap-<id>.xml`, as 5.12 does) and told to libvirt when the domain is
there again.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

from functools import partial
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.drivers.diskimage import delete_inner_snapshot, inner_snapshots
from merope.drivers.errors import DriverError
from merope.drivers.files import replaced_file
from merope.drivers.hypervisor.domain_xml.elements import ONE_NAMESPACE, add
from merope.drivers.hypervisor.libvirt_api import (
    Code,
    Connection,
    DomainHandle,
    Snapshot,
    SnapshotDelete,
    SnapshotHandle,
    SnapshotRevert,
)
from merope.drivers.hypervisor.libvirt_domains import LibvirtDomains, described, file_of, find_disk, text_of
from merope.drivers.snapshot_files import followed
from merope.model.vm import VM

_UNKNOWN = (
    Code.INTERNAL_ERROR,
    Code.INVALID_ARG,
    Code.OPERATION_FAILED,
    Code.CONFIG_UNSUPPORTED,
    Code.XML_ERROR,
)


class LibvirtSnapshots(LibvirtDomains):
    def snapshot_create(self, vm: VM, deploy_id: str, snapshot_id: int, system_dir: Path) -> str:
        """Ids are given again, so one of an earlier TIME is another snapshot, which nobody knows any more."""
        name, taken = f"snap-{snapshot_id}", _time_of(vm, snapshot_id)
        wanted = Element("domainsnapshot")
        add(wanted, "name", name)
        add(wanted, "description", taken)

        def create(connection: Connection) -> None:
            domain = self._free(connection, deploy_id)
            made = self._snapshot(domain, name)
            if made is not None and _description(made) != taken:
                made.delete(0)
                made = None
            if made is None:
                made = domain.snapshotCreateXML(text_of(wanted), 0)
            _write_down(made, system_dir)

        self._session.run(create)
        return name

    def snapshot_revert(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        def revert(connection: Connection) -> None:
            domain = self._free(connection, deploy_id)
            self._know_snapshots(connection, deploy_id, system_dir)
            made = self._snapshot(domain, name)
            if made is None:
                raise DriverError(f"the domain {deploy_id} has no snapshot {name}")
            _require_disks(made, described(domain))
            domain.revertToSnapshot(made, SnapshotRevert.RUNNING)

        self._session.run(revert)

    def snapshot_delete(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        def delete(connection: Connection) -> None:
            domain = self._settled(connection, deploy_id)
            if domain is None:
                _delete_at_rest(vm, name, system_dir)
                return
            self._end_copies(domain)
            self._know_snapshots(connection, deploy_id, system_dir)
            made = self._snapshot(domain, name)
            if made is not None:
                made.delete(0)
            _note(name, system_dir).unlink(missing_ok=True)

        self._session.run(delete)

    def _snapshot(self, domain: DomainHandle, name: str) -> SnapshotHandle | None:
        return self._session.attempt(lambda: domain.snapshotLookupByName(name, 0), Code.NO_DOMAIN_SNAPSHOT)

    def _know_snapshots(self, connection: Connection, deploy_id: str, system_dir: Path) -> None:
        """Tells libvirt of the snapshots that the disks of a domain have. One that it does not understand
        cannot be returned to, and keeps no guest from running."""
        domain = self._lookup(connection, deploy_id)
        if domain is None:
            return
        for note in sorted(system_dir.glob("snap-*.xml")):
            if self._snapshot(domain, note.stem) is None:
                redefined = partial(domain.snapshotCreateXML, _alone(note), Snapshot.REDEFINE)
                self._session.attempt(redefined, *_UNKNOWN)

    def _forget_snapshots(self, vm: VM, system_dir: Path) -> None:
        """Before a start: what is left of snapshots that the VM does not have any more."""
        kept = {f"snap-{each.get('SNAPSHOT_ID', '')}" for each in vm.template.vectors("SNAPSHOT")}
        kept |= {each.get("HYPERVISOR_ID", "") for each in vm.template.vectors("SNAPSHOT")}
        for note in sorted(system_dir.glob("snap-*.xml")):
            if note.stem not in kept:
                _delete_at_rest(vm, note.stem, system_dir)

    def know_snapshots(self, deploy_id: str) -> None:
        """Tells this host's libvirt of the snapshots of a domain that came here, when it runs."""

        def tell(connection: Connection) -> None:
            domain = self._settled(connection, deploy_id)
            notes = None if domain is None else _place_of(domain)
            if notes is not None:
                self._know_snapshots(connection, deploy_id, notes)

        self._session.run(tell)

    def _without_snapshots(self, domain: DomainHandle) -> Path | None:
        """Makes libvirt forget the snapshots of a domain, which it would not move with them.

        Answers where they are written down, None when there are none.
        """
        made, place = domain.listAllSnapshots(0), _place_of(domain)
        if not made or place is None:
            return None
        for each in made:
            _write_down(each, place)
            each.delete(SnapshotDelete.METADATA_ONLY)
        return place


def _time_of(vm: VM, snapshot_id: int) -> str:
    """TIME of a snapshot that is being taken."""
    wanted = str(snapshot_id)
    found = (each for each in vm.template.vectors("SNAPSHOT") if each.get("SNAPSHOT_ID") == wanted)
    return next((each.get("TIME", "") for each in found), "")


def _require_disks(snapshot: SnapshotHandle, now: Element) -> None:
    """The guest would go on in the files of that time, and be lost where they hold the moment no more.

    Raises DriverError when a disk has gone on in another file (it has a snapshot of its own), or was made
    what it had been before (it was taken back to one).
    """
    name = snapshot.getName()
    then = ElementTree.fromstring(snapshot.getXMLDesc(0))  # noqa: S314 - libvirt's own document
    past = then.find("domain")
    if past is None:
        return
    inside = {each.get("name", "") for each in then.iterfind("disks/disk[@snapshot='internal']")}
    for target in inside:
        before, here = (file_of(root, target) for root in (past, now))
        disk = find_disk(now, target)
        if disk is None or disk.find("driver[@type='qcow2']") is None:
            continue
        if before != here:
            raise DriverError(f"{name}: the disk {target} has a snapshot of its own that is newer")
        if name not in inner_snapshots(Path(here)):
            raise DriverError(f"{name}: the disk {target} was taken back to before it")


def _description(snapshot: SnapshotHandle) -> str:
    root = ElementTree.fromstring(snapshot.getXMLDesc(0))  # noqa: S314 - libvirt's own document
    return root.findtext("description", "")


def _place_of(domain: DomainHandle) -> Path | None:
    """The VM's directory, as its domain says."""
    place = described(domain).find(f"metadata/{{{ONE_NAMESPACE}}}vm/{{{ONE_NAMESPACE}}}system_datastore")
    return Path(place.text) if place is not None and place.text else None


def _note(name: str, system_dir: Path) -> Path:
    if "/" in name or not name.startswith("snap-"):
        raise DriverError(f"'{name}' is not the name of a snapshot of this hypervisor")
    return system_dir / f"{name}.xml"


def _alone(note: Path) -> str:
    """A snapshot as it was written down, without the one before it, which may have gone since."""
    root = ElementTree.fromstring(note.read_text(encoding="utf-8"))  # noqa: S314 - our own file
    for parent in root.findall("parent"):
        root.remove(parent)
    return text_of(root)


def _write_down(snapshot: SnapshotHandle, system_dir: Path) -> None:
    with replaced_file(_note(snapshot.getName(), system_dir)) as part:
        part.write_text(snapshot.getXMLDesc(0), encoding="utf-8")


def _delete_at_rest(vm: VM, name: str, system_dir: Path) -> None:
    """Takes a snapshot out of the disks of a domain that does not run."""
    for disk in vm.template.vectors("DISK"):
        path = followed(system_dir / f"disk.{disk.get('DISK_ID', '')}")
        if (disk.get("DRIVER") or disk.get("FORMAT")) == "qcow2" and path.is_file():
            delete_inner_snapshot(path, name)
    _note(name, system_dir).unlink(missing_ok=True)
