"""Making a job of an effect: all that carrying it out needs, from the state as it is now."""

from typing import Protocol

from merope.core.host_failure import is_off
from merope.engine.job import Job
from merope.engine.token import onegate_token
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.effect import Effect
from merope.model.host import Host
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.state import State
from merope.model.user import User
from merope.model.vm import VM, History

#: Families of effects that bring all that they are about with them.
_SELF_CONTAINED = ("secgroup.", "ipam.", "marketapp.")
_WITH_CONTEXT = frozenset({"vm.deploy", "vm.attach_nic", "vm.detach_nic", "vm.update_conf"})
REPLICA = ("REPLICA_HOST", "REPLICA_MAX_SIZE_MB", "REPLICA_MAX_USED_PERC")
_MIGRATING = frozenset(phase for phase in Phase if "MIGRATE" in phase.name)


class MissingObject(Exception):  # noqa: N818 - becomes the answer of the job
    """What the effect is about is not there any more."""


class Finished(Protocol):
    """Where the documents of finished VMs are, and their history records, oldest first."""

    def vm_document(self, oid: int) -> str | None: ...

    def history(self, oid: int) -> list[str]: ...


def build(state: State, effect: Effect, finished: Finished | None) -> Job:
    """Raises MissingObject."""
    if effect.op.startswith("image."):
        return _image_job(state, effect)
    if effect.op.startswith(_SELF_CONTAINED):
        return Job(effect)
    if effect.op.startswith("host."):
        return _host_job(state, effect)
    vm = state.pools["vm_pool"].parsed(effect.oid)
    if vm is None and finished is not None:
        document = finished.vm_document(effect.oid)
        vm = None if document is None else VM.from_xml(document)
    if not isinstance(vm, VM) or vm.history is None:
        raise MissingObject(f"virtual machine {effect.oid} is not there any more")
    host = state.pools["host_pool"].parsed(effect.host)
    image, datastore = _target(state, effect)
    source = _source(state, effect, vm, finished)
    records = [vm.history] if source is None else [vm.history, source]
    return Job(
        effect,
        vm=vm,
        host=host if isinstance(host, Host) else None,
        source=source,
        image=image,
        datastore=datastore,
        token=_token(state, effect, vm),
        off=frozenset(record.hostname for record in records if is_off(state, record.hid)),
        replica=replica_of(state.pools["datastore_pool"].parsed(vm.history.ds_id)),
    )


def replica_of(system: object) -> dict[str, str]:
    """What a system datastore says of copies of images on a host near those of its VMs."""
    if not isinstance(system, Datastore) or not system.template.get("REPLICA_HOST"):
        return {}
    return {name: system.template.get(name) for name in REPLICA if system.template.get(name)}


def _host_job(state: State, effect: Effect) -> Job:
    """A host that says nothing of its fencing has that of its cluster."""
    host = state.pools["host_pool"].parsed(effect.oid)
    if not isinstance(host, Host):
        raise MissingObject(f"host {effect.oid} is not there any more")
    cluster = state.pools["cluster_pool"].parsed(host.cluster_id)
    if isinstance(cluster, Cluster) and not host.template.vectors("FENCING"):
        host = Host.from_xml(host.to_xml())
        for fencing in cluster.template.vectors("FENCING"):
            host.template.add("FENCING", fencing)
    return Job(effect, host=host)


def _target(state: State, effect: Effect) -> tuple[Image | None, Datastore | None]:
    """The image that a disk of a VM is saved as, and its datastore."""
    stated = effect.arguments.get("image")
    if not isinstance(stated, int):
        return None, None
    image = state.pools["image_pool"].parsed(stated)
    if not isinstance(image, Image):
        raise MissingObject(f"image {stated} is not there any more")
    return image, _datastore_of(state, image)


def _source(state: State, effect: Effect, vm: VM, finished: Finished | None) -> History | None:
    """The record that a migration leaves, where the effect has to do with it."""
    stated = effect.arguments.get("source")
    if (stated is None and vm.phase in _MIGRATING) or (isinstance(stated, int) and stated >= 0):
        assert vm.history is not None
        records = list(state.history.get(vm.id, {}).values())
        if vm.phase is Phase.DONE and finished is not None:
            records = finished.history(vm.id)
        closed = (History.from_xml(record) for record in records)
        return next((record for record in closed if record.seq == vm.history.seq - 1), None)
    return None


def _token(state: State, effect: Effect, vm: VM) -> str:
    """The VM's OneGate token, where its CONTEXT is written. Raises DriverError where the library is missing.

    Hosts never see the key, which is TOKEN_PASSWORD of whoever made the VM.
    """
    context = vm.template.vector("CONTEXT")
    if effect.op not in _WITH_CONTEXT or context is None or context.get("TOKEN", "").upper() != "YES":
        return ""
    owner = state.pools["user_pool"].parsed(int(vm.template.get("CREATED_BY") or vm.uid))
    secret = owner.template.get("TOKEN_PASSWORD") if isinstance(owner, User) else ""
    return onegate_token(vm.id, vm.stime, secret) if secret else ""


def _image_job(state: State, effect: Effect) -> Job:
    """A deleted image has no row any more: the effect that removes its content brings its document."""
    image = state.pools["image_pool"].parsed(effect.oid)
    document = effect.arguments.get("image")
    if image is None and isinstance(document, str):
        image = Image.from_xml(document)
    if not isinstance(image, Image):
        raise MissingObject(f"image {effect.oid} is not there any more")
    datastore = _datastore_of(state, image)
    return Job(effect, image=image, datastore=datastore, original=str(effect.arguments.get("source", "")))


def _datastore_of(state: State, image: Image) -> Datastore:
    datastore = state.pools["datastore_pool"].parsed(image.datastore_id)
    if not isinstance(datastore, Datastore):
        raise MissingObject(f"datastore {image.datastore_id} of image {image.id} is not there any more")
    return datastore
