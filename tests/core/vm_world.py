"""A small cloud with VMs in it: what tests of VMs start from, and what must hold of it at any time."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.core import vm_devices_world as devices
from tests.core.conftest import Core

from merope.core import (
    check_groups,
    check_topology,
    host_monitor,
    lifecycle,
    results,
    vm_machine,
    vm_quotas,
    vm_requirements,
    vm_save_steps,
    vm_steps,
    vrouter_nics,
)
from merope.core.check_relations import IN_PASSING
from merope.core.image import usage as image_usage
from merope.core.transaction import SYSTEM, Caller, Transaction
from merope.model.change import Put
from merope.model.host import Host
from merope.model.image import Image
from merope.model.kinds import HOST, IMAGE, NET, SECGROUP, VM_KIND, VROUTER
from merope.model.leases import owner_parts
from merope.model.permissions import ObjectType
from merope.model.phase import Phase
from merope.model.quota import Quotas, Usage
from merope.model.security_group import SecurityGroup
from merope.model.state import Entry
from merope.model.states import HistoryAction, ImageState, VmState
from merope.model.template import Template
from merope.model.vm import VM, History
from merope.model.vnet import VirtualNetwork
from merope.model.vrouter import VirtualRouter

ANN = 2
NODE0, NODE1 = 0, 1
SYSTEM_DS = 0
NETWORK = 0
DISK, PERSISTENT = 0, 1

TEMPLATE = """\
CPU = 0.5
MEMORY = 256
DISK = [ IMAGE_ID = 0 ]
DISK = [ TYPE = fs, SIZE = 16, FORMAT = raw ]
NIC = [ NETWORK_ID = 0 ]
GRAPHICS = [ TYPE = VNC, LISTEN = 0.0.0.0 ]
OS = [ BOOT = disk0 ]
"""


#: Two nodes of two cores with two threads, and a network card and a GPU on the second.
TOPOLOGY = """\
CORE = [ NODE_ID = 0, ID = 0, CPUS = "0,4" ]
CORE = [ NODE_ID = 0, ID = 1, CPUS = "1,5" ]
CORE = [ NODE_ID = 1, ID = 0, CPUS = "2,6" ]
CORE = [ NODE_ID = 1, ID = 1, CPUS = "3,7" ]
MEMORY_NODE = [ NODE_ID = 0, TOTAL = 2097152, FREE = 2000000, USED = 97152, DISTANCE = "0 1" ]
MEMORY_NODE = [ NODE_ID = 1, TOTAL = 2097152, FREE = 2000000, USED = 97152, DISTANCE = "1 0" ]
HUGEPAGE = [ NODE_ID = 0, SIZE = 2048, PAGES = 512, FREE = 512 ]
HUGEPAGE = [ NODE_ID = 1, SIZE = 2048, PAGES = 512, FREE = 512 ]
PCI = [ VENDOR = 8086, DEVICE = 10fb, CLASS = 0200, ADDRESS = "0000:02:00:0", SHORT_ADDRESS = "02:00.0",
        DOMAIN = 0000, BUS = 02, SLOT = 00, FUNCTION = 0, NUMA_NODE = 1, DEVICE_NAME = "82599ES" ]
PCI = [ VENDOR = 10de, DEVICE = 1eb8, CLASS = 0302, ADDRESS = "0000:03:00:0", SHORT_ADDRESS = "03:00.0",
        DOMAIN = 0000, BUS = 03, SLOT = 00, FUNCTION = 0, NUMA_NODE = 1, DEVICE_NAME = "T4" ]
"""
PASSED_THROUGH = "PCI = [ VENDOR = 10de ]\n"
PINNED = f"""\
CPU = 0.5
VCPU = 2
MEMORY = 256
TOPOLOGY = [ PIN_POLICY = THREAD, SOCKETS = 2, HUGEPAGE_SIZE = 2 ]
{PASSED_THROUGH}\
GRAPHICS = [ TYPE = VNC, LISTEN = 0.0.0.0 ]
DISK = [ IMAGE_ID = 0 ]
DISK = [ TYPE = fs, SIZE = 16, FORMAT = raw ]
NIC = [ NETWORK_ID = 0 ]
"""


class Cloud(Core):
    """Two hosts (0, 1), the network 0, ann's images 0 and 1 (persistent); ann is user 2 of group 1."""

    def __init__(self, **settings: Any) -> None:
        self.finished: dict[int, Entry] = {}
        self.stored: dict[tuple[int, int], str] = {}
        """The closed records as the database has them, also those of finished VMs."""
        super().__init__(**settings)
        assert self.user("ann") == ANN
        for name in ("node0", "node1"):
            self.host(name)
        self.call(
            0,
            "one.vn.allocate",
            "NAME=private\nVN_MAD=dummy\nBRIDGE=br0\nGATEWAY=10.1.0.1\nDNS=10.1.0.1\n"
            "NETWORK_ADDRESS=10.1.0.0\nNETWORK_MASK=255.255.255.0\nAR=[TYPE=IP4,IP=10.1.0.10,SIZE=20]",
            -1,
        )
        self.image("disk")
        self.image("kept", "PERSISTENT=YES")

    def transaction(self, caller: Caller, **prepared: str | int) -> Transaction:
        tx = super().transaction(caller, **prepared)
        tx.context.archive.update({("vm_pool", oid): entry for oid, entry in self.finished.items()})
        return tx

    def commit(self, tx: Transaction) -> None:
        self.index += 1
        change, parsed = tx.commit(self.index)
        for operation in change.operations:
            if isinstance(operation, Put) and operation.table == "history":
                assert isinstance(operation.key, tuple)
                self.stored[operation.key[0], operation.key[1]] = str(operation.row["body"])
            if isinstance(operation, Put) and operation.table == "vm_pool":
                assert isinstance(operation.key, int)
                entry = Entry(operation.key, operation.row, self.index)
                if entry.state == VmState.DONE:
                    self.finished[entry.oid] = entry
        self.state.apply(change, parsed)

    def document(self, oid: int) -> VM:
        """The VM, living or finished."""
        entry = self.state.pool(VM_KIND).entries.get(oid) or self.finished[oid]
        return VM.from_xml(entry.body)

    def host(self, name: str, cpu: int = 400, memory: int = 4 << 20) -> int:
        """A host of `cpu` percent and `memory` KB."""
        oid = self.call(0, "one.host.allocate", name, "dummy", "dummy", -1)
        tx = self.transaction(SYSTEM)
        host = tx.edit(Host, oid)
        host.state = 2
        share = host.host_share
        share.total_cpu = share.max_cpu = cpu
        share.total_mem = share.max_mem = memory
        self.commit(tx)
        assert isinstance(oid, int)
        return oid

    def pins(self, *hosts: int) -> None:
        """The hosts have nodes of cores and two PCI devices each, and take pinned VMs alone."""
        for oid in hosts:
            self.call(0, "one.host.update", oid, "PIN_POLICY=PINNED", 1)
            self.measure(oid, TOPOLOGY)

    def measure(self, oid: int, topology: str) -> None:
        """What a probe prints."""
        share = self.get(Host, oid).host_share
        measured = host_monitor.Measured(
            share.total_cpu, share.total_mem, {}, (0, 0, 0), topology=Template.parse(topology)
        )
        tx = self.transaction(SYSTEM)
        host_monitor.take(tx, oid, measured)
        self.commit(tx)

    def image(self, name: str, more: str = "", *, who: int = ANN, made: bool = True) -> int:
        oid = self.call(who, "one.image.allocate", f"NAME={name}\nTYPE=DATABLOCK\nSIZE=64\n{more}", 1)
        if made:
            self.answer(op="image", source=f"/img/{oid}", format="raw")
        assert isinstance(oid, int)
        return oid

    def vm(self, template: str = TEMPLATE, *, who: int = ANN, hold: bool = False) -> int:
        oid = self.call(who, "one.vm.allocate", template, hold)
        assert isinstance(oid, int)
        return oid

    def running(self, template: str = TEMPLATE) -> int:
        """A VM that was allocated, deployed on host 0, and runs."""
        oid = self.vm(template)
        self.call(0, "one.vm.deploy", oid, NODE0)
        self.steps(2)
        assert self.phase(oid) is Phase.RUNNING
        return oid

    def steps(self, count: int, *, ok: bool = True, message: str = "") -> None:
        """Answers what VMs wait for, so many times."""
        for _ in range(count):
            assert self.effects("vm"), "nothing waits for an answer"
            self.now += 10
            self.answer(ok, message, op="vm")

    def phase(self, oid: int) -> Phase:
        """DONE when the VM is not among the living."""
        found = self.state.pool(VM_KIND).parsed(oid)
        return found.phase if isinstance(found, VM) else Phase.DONE

    def records(self, oid: int) -> list[History]:
        """All records of a VM, the current one last."""
        current = self.document(oid).history_records
        last = current[-1].seq if current else -1
        closed = [key for key in sorted(self.stored) if key[0] == oid and key[1] < last]
        return [History.from_xml(self.stored[key]) for key in closed] + current

    def used(self, scope: str = "user", oid: int = ANN) -> Usage:
        table = self.state.user_quotas if scope == "user" else self.state.group_quotas
        return table.get(oid, Quotas()).usage()


def stand(
    cloud: Cloud, phase: Phase, *, powered_off: bool = False, answer: str = "", template: str = TEMPLATE
) -> int:
    """A VM of ann's in that phase: its stored document, its records, and what it has of hosts and quotas.

    `answer`: what it waits for, where the phase does not tell (lifecycle.ANSWERS).
    """
    if phase in (Phase.CLONING, Phase.CLONING_FAILURE):
        return _cloning(cloud, phase)
    if phase in lifecycle.ON_DEVICES:
        return devices.begin(cloud, phase, answer)
    oid = cloud.vm(template)
    tx = cloud.transaction(SYSTEM)
    vm = tx.edit(VM, oid)
    vm.state, vm.lcm_state = phase.state, phase.lcm_state
    vm.prev_state, vm.prev_lcm_state = vm.state, vm.lcm_state
    if not vm_quotas.is_running(phase):
        vm_quotas.stop_running(tx, vm)
    if phase.active or phase in RESTING + AWAY:
        _place(tx, vm, phase, powered_off=powered_off, now=cloud.now)
    cloud.commit(tx)
    cloud.now += 100
    return oid


RESTING = (Phase.SUSPENDED, Phase.POWEROFF)
AWAY = (Phase.STOPPED, Phase.UNDEPLOYED)
_TWO_RECORDS = (*lifecycle.MIGRATING, Phase.BOOT_MIGRATE, Phase.BOOT_MIGRATE_FAILURE)


def _cloning(cloud: Cloud, phase: Phase) -> int:
    image_id = cloud.image("slow", made=False)
    oid = cloud.vm(TEMPLATE.replace("IMAGE_ID = 0", f"IMAGE_ID = {image_id}"))
    if phase is Phase.CLONING_FAILURE:
        cloud.answer(False, "no space", op="image")
    return oid


def _place(tx: Transaction, vm: VM, phase: Phase, *, powered_off: bool, now: int) -> None:
    vm.template.set("TM_MAD_SYSTEM", "dummy")
    graphics = vm.template.vector("GRAPHICS")
    assert graphics is not None
    if phase not in AWAY:
        graphics["PORT"] = str(5900 + vm.id)
    vm.deploy_id = f"one-{vm.id}"
    moving = phase in _TWO_RECORDS
    first = _record(vm.id, 0, NODE0, now)
    if moving:
        first.action = HistoryAction.POWEROFF_MIGRATE if powered_off else HistoryAction.MIGRATE
        if phase not in (Phase.MIGRATE, Phase.SAVE_MIGRATE):
            first.etime = first.retime = now + 50
        vm.history_records = [first]
        vm_steps.write_record(tx, vm, first)
        current = _record(vm.id, 1, NODE1, now + 50)
    else:
        current = first
    _times(current, phase, now)
    vm.history_records = [current]
    if phase in AWAY:
        current.etime = current.eetime = now + 60
        current.action = HistoryAction.STOP if phase is Phase.STOPPED else HistoryAction.UNDEPLOY
        vm_steps.write_record(tx, vm, current)
    here = holds(phase, [NODE1 if moving else NODE0])
    for host in [NODE0, NODE1] if phase in lifecycle.MIGRATING else here:
        vm_steps.take_capacity(tx, vm, host)
    if phase in lifecycle.LEFT_SOURCE:
        vm_steps.leave_for_now(tx, vm, NODE0)
    if phase in lifecycle.EFFECTS:
        effect = lifecycle.EFFECTS[phase]
        vm_machine.ask(tx, vm, effect, source=phase in (Phase.MIGRATE, Phase.SAVE_MIGRATE))


def _record(oid: int, seq: int, host: int, now: int) -> History:
    return History(
        oid=oid,
        seq=seq,
        hostname=f"node{host}",
        hid=host,
        cid=0,
        stime=now,
        vm_mad="dummy",
        tm_mad="dummy",
        ds_id=SYSTEM_DS,
        pstime=now,
        petime=now + 10,
        rstime=now + 10,
    )


def _times(record: History, phase: Phase, now: int) -> None:
    name = phase.name
    if name.startswith("PROLOG") or phase is Phase.SAVE_MIGRATE:
        record.petime = record.rstime = 0
    if phase in (Phase.MIGRATE, Phase.SAVE_MIGRATE):
        record.pstime = record.petime = 0
    if name.startswith("EPILOG") or phase in RESTING + AWAY:
        record.retime = now + 40
    if name.startswith("EPILOG") or phase in AWAY:
        record.estime = now + 40


def holds(phase: Phase, hosts: list[int]) -> list[int]:
    """Of the hosts of a VM's records, oldest first, those whose capacity it has in a phase."""
    if phase in (*lifecycle.WITHOUT_CAPACITY, Phase.CLEANUP_RESUBMIT) or not hosts:
        return []
    if phase in (Phase.MIGRATE, Phase.SAVE_MIGRATE):
        return hosts[-2:]
    return hosts[-1:] if phase.active or phase in RESTING else []


def take(cloud: Cloud, oid: int, op: str, ok: bool, message: str = "", **data: str) -> None:
    """Answers the VM's effect `op`, which is asked for here when the VM waits for another of its family."""
    waiting = [effect for effect in cloud.effects("vm") if effect.oid == oid]
    if not any(effect.op == op for effect in waiting):
        tx = cloud.transaction(SYSTEM)
        tx.drop_effects("vm", oid)
        tx.effect(op, oid, NODE0)
        cloud.commit(tx)
        waiting = [effect for effect in cloud.effects("vm") if effect.oid == oid]
    tx = cloud.transaction(SYSTEM)
    chosen = next(effect for effect in waiting if effect.op == op)
    assert results.take_result(tx, chosen.id, ok, message, data)
    cloud.commit(tx)


def check(cloud: Cloud) -> None:
    """What must hold after every change: everything that is counted equals a recount."""
    vms = [cloud.get(VM, oid) for oid in cloud.state.pool(VM_KIND).entries]
    _check_hosts(cloud, vms)
    _check_leases(cloud, vms)
    _check_images(cloud, vms)
    _check_quotas(cloud, vms)
    _check_groups(cloud, vms)
    assert not list(check_groups.vm_groups(cloud.state)), "a role lists other VMs than those that play it"
    assert not list(check_topology.hosts(cloud.state))
    _check_pins(cloud, vms)
    for vm in vms:
        _check_effects(cloud, vm)
        _check_records(cloud, vm)
        body = cloud.state.pool(VM_KIND).entries[vm.id].body
        assert VM.from_xml(body).to_xml() == body
    ports = [(vm.history.cid, port) for vm in vms if vm.history is not None and (port := console(vm))]
    assert len(set(ports)) == len(ports), "two VMs have one console"


def console(vm: VM) -> str:
    """The port of its graphical console, empty when it has none."""
    graphics = vm.template.vector("GRAPHICS")
    return "" if graphics is None else graphics.get("PORT", "")


def _check_hosts(cloud: Cloud, vms: list[VM]) -> None:
    held: dict[int, list[VM]] = {oid: [] for oid in cloud.state.pool(HOST).entries}
    for vm in vms:
        for oid in set(holds(vm.phase, [record.hid for record in cloud.records(vm.id)])):
            held.setdefault(oid, []).append(vm)
    for oid in cloud.state.pool(HOST).entries:
        host = cloud.get(Host, oid)
        share = host.host_share
        capacities = [vm_steps.capacity(vm) for vm in held[oid]]
        assert host.vms == {vm.id for vm in held[oid]}, f"VMs of host {oid}"
        assert share.cpu_usage == sum(cpu for cpu, _ in capacities), f"CPU of host {oid}"
        assert share.mem_usage == sum(memory for _, memory in capacities), f"memory of host {oid}"
        assert share.running_vms == len(held[oid]), f"number of VMs of host {oid}"


def _check_pins(cloud: Cloud, vms: list[VM]) -> None:
    """A pinned VM has CPUs where it has capacity, and on the host that a migration has not left for good."""
    for vm in vms:
        if not vm_requirements.is_pinned(vm):
            continue
        hosts = [record.hid for record in cloud.records(vm.id)]
        there = bool(holds(vm.phase, hosts[-1:]))
        assert all(("CPUS" in node) is there for node in vm.template.vectors("NUMA_NODE")), vm.phase
        moving = vm.phase in lifecycle.MIGRATING
        assert all(("PREV_CPUS" in node) is moving for node in vm.template.vectors("NUMA_NODE")), vm.phase
        for device in vm.template.vectors("PCI"):
            assert ("ADDRESS" in device, "PREV_ADDRESS" in device) == (there, moving), vm.phase


def nics_of(vm: VM) -> Iterator[dict[str, str]]:
    yield from vm.template.vectors("NIC")
    yield from vm.template.vectors("NIC_ALIAS")
    yield from (device for device in vm.template.vectors("PCI") if device.get("TYPE") == "NIC")


def _check_leases(cloud: Cloud, vms: list[VM]) -> None:
    wanted = {
        (int(nic["NETWORK_ID"]), nic["MAC"]): vm.id for vm in vms for nic in nics_of(vm) if "AR_ID" in nic
    }
    given = {}
    for oid in cloud.state.pool(NET).entries:
        network = cloud.get(VirtualNetwork, oid)
        assert network.used_leases == sum(len(ranged.leases) for ranged in network.ar_pool)
        for ranged in network.ar_pool:
            for index, owner in ranged.leases:
                kind, holder = owner_parts(owner)
                if kind == ObjectType.VM and holder >= 0:
                    given[oid, ranged.lease(index)["MAC"]] = holder
    assert given == wanted


def _check_images(cloud: Cloud, vms: list[VM]) -> None:
    used: Counter[int] = Counter()
    users: dict[int, set[int]] = {}
    for vm in vms:
        for disk in vm.template.vectors("DISK"):
            if disk.get("IMAGE_ID"):
                used[int(disk["IMAGE_ID"])] += 1
                users.setdefault(int(disk["IMAGE_ID"]), set()).add(vm.id)
    for oid in cloud.state.pool(IMAGE).entries:
        image = cloud.get(Image, oid)
        assert (image.running_vms, image.vms) == (used[oid], users.get(oid, set())), f"image {oid}"
        if image.state == ImageState.READY:
            assert not image.running_vms


def _check_quotas(cloud: Cloud, vms: list[VM]) -> None:
    counted: dict[tuple[str, int], Usage] = {}

    def count(uid: int, gid: int, usage: Usage) -> None:
        for scope, oid in (("user", uid), ("group", gid)):
            if oid:
                counted[scope, oid] = counted.get((scope, oid), Usage()) + usage

    for vm in vms:
        count(vm.uid, vm.gid, vm_quotas.everything(vm))
    for oid in cloud.state.pool(IMAGE).entries:
        image = cloud.get(Image, oid)
        if image.state != ImageState.DELETE:
            count(image.uid, image.gid, image_usage(image))
    for oid in cloud.state.pool(NET).entries:
        network = cloud.get(VirtualNetwork, oid)
        if network.parent_network_id >= 0:
            size = sum(ranged.size for ranged in network.ar_pool)
            count(network.uid, network.gid, Usage().network(network.parent_network_id, size))
    for oid in cloud.state.pool(VROUTER).entries:
        router = cloud.get(VirtualRouter, oid)
        count(router.uid, router.gid, vrouter_nics.leases(router.template))
    for scope, table in (("user", cloud.state.user_quotas), ("group", cloud.state.group_quotas)):
        for oid in {*table, *(oid for kind, oid in counted if kind == scope)}:
            found = table.get(oid, Quotas()).usage()
            assert found == counted.get((scope, oid), Usage()), f"quotas of {scope} {oid}"


def _check_groups(cloud: Cloud, vms: list[VM]) -> None:
    for oid in cloud.state.pool(SECGROUP).entries:
        group = cloud.get(SecurityGroup, oid)
        sets = (group.updated_vms, group.outdated_vms, group.updating_vms, group.error_vms)
        members = [vm_id for held in sets for vm_id in held]
        wanted = [
            vm.id
            for vm in vms
            if any(str(oid) in nic.get("SECURITY_GROUPS", "").split(",") for nic in nics_of(vm))
        ]
        assert sorted(members) == sorted(wanted), f"members of security group {oid}"


def _check_effects(cloud: Cloud, vm: VM) -> None:
    waiting = [effect for effect in cloud.effects("vm") if effect.oid == vm.id]
    family = [effect for effect in waiting if effect.op not in IN_PASSING | {"vm.delete"}]
    expected = lifecycle.EFFECTS.get(vm.phase)
    if expected is None:
        assert not family, f"{vm.phase.name} waits for {family}"
        return
    if not family and vm.phase in lifecycle.SAVING:
        assert vm_save_steps.image_under_way(cloud.state, vm), "nobody makes the image"
        return
    assert len(family) == 1, f"{vm.phase.name} waits for {family}"
    answer = lifecycle.ANSWERS[family[0].op]
    assert (answer, vm.phase) in {(event.removesuffix("-ok"), at) for event, at in lifecycle.TABLE}


def _check_records(cloud: Cloud, vm: VM) -> None:
    records = cloud.records(vm.id)
    assert [record.seq for record in records] == list(range(len(records)))
    open_source = vm.phase in (Phase.MIGRATE, Phase.SAVE_MIGRATE)
    for record in records[: -2 if open_source else -1]:
        assert record.etime, f"record {record.seq} was left open"
    for record in records:
        for start, end in (("s", "e"), ("ps", "pe"), ("rs", "re"), ("es", "ee")):
            began, ended = getattr(record, f"{start}time"), getattr(record, f"{end}time")
            assert not ended or began, f"record {record.seq} ended {end}time without beginning"
            assert not ended or ended >= began
