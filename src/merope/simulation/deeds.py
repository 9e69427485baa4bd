"""What people and the world do: one deed is one step of a schedule, chosen by weight."""

from collections.abc import Callable
from typing import Any

from merope.core import lifecycle
from merope.core.vm import ACTIONS
from merope.drivers.hypervisor.base import DomainState
from merope.model.phase import Phase
from merope.model.states import HostState
from merope.simulation import device_deeds
from merope.simulation.draws import Draw
from merope.simulation.genesis import rule
from merope.simulation.simulation import Simulation

Call = tuple[str, list[Any], int]
Deed = Callable[[Draw], Call | None]

_UP = (Phase.RUNNING, Phase.RUNNING, Phase.UNKNOWN)
#: What people do with a VM in the phases that it rests in.
_SENSIBLE: tuple[tuple[tuple[Phase, ...], tuple[str, ...]], ...] = (
    (
        (Phase.RUNNING,),
        (
            "suspend",
            "stop",
            "poweroff",
            "poweroff-hard",
            "undeploy",
            "undeploy-hard",
            "terminate",
            "terminate-hard",
            "reboot",
            "reboot-hard",
            "resched",
        ),
    ),
    ((Phase.UNKNOWN,), ("resume", "poweroff-hard", "terminate-hard", "undeploy-hard", "terminate")),
    ((Phase.SUSPENDED,), ("resume", "resume", "stop", "terminate")),
    ((Phase.POWEROFF,), ("resume", "resume", "undeploy", "terminate", "undeploy-hard")),
    ((Phase.STOPPED, Phase.UNDEPLOYED), ("resume", "resume", "terminate")),
    ((Phase.PENDING,), ("hold", "terminate")),
    ((Phase.HOLD,), ("release", "release", "terminate")),
    (lifecycle.FAILURES, ("terminate", "terminate-hard")),
)


def _any_of(draw: Draw, calls: tuple[Call, ...]) -> Call:
    return draw.one(calls)


def _allocate(draw: Draw) -> Call:
    return "one.vm.allocate", [draw.vm_template(), draw.likely(0.15)], draw.user()


def _instantiate(draw: Draw) -> Call:
    extra = draw.one(("", "", 'DISK=[TYPE="fs",SIZE=10]', "MEMORY=256"))
    arguments = [draw.oid("template"), "", draw.likely(0.2), extra, draw.likely(0.1)]
    return "one.template.instantiate", arguments, draw.user()


def _deploy(draw: Draw) -> Call | None:
    waiting = (Phase.PENDING, Phase.HOLD, Phase.STOPPED, Phase.UNDEPLOYED)
    vm = draw.vm_in(*waiting) if draw.likely(0.9) else draw.oid("vm")
    if vm is None:
        return None
    store = draw.one((-1, -1, 0, 100, 1))
    return "one.vm.deploy", [vm, draw.oid("host"), draw.likely(0.5), store, ""], draw.user()


def _act(draw: Draw) -> Call | None:
    phases, actions = draw.one(_SENSIBLE)
    vm = draw.vm_in(*phases)
    if vm is None:
        phases, actions = _SENSIBLE[0]
        vm = draw.vm_in(*phases)
    return None if vm is None else ("one.vm.action", [draw.one(actions), vm], draw.user())


def _act_blindly(draw: Draw) -> Call:
    return "one.vm.action", [draw.one(ACTIONS), draw.oid("vm")], draw.user()


def _migrate(draw: Draw) -> Call | None:
    vm = draw.vm_in(*_UP, Phase.POWEROFF, Phase.SUSPENDED) if draw.likely(0.95) else draw.oid("vm")
    if vm is None:
        return None
    store = draw.one((-1, -1, -1, 0, 100))
    arguments = [vm, draw.oid("host"), draw.likely(0.4), draw.likely(0.5), store, draw.one((0, 0, 1, 2))]
    return "one.vm.migrate", arguments, 0


def _recover(draw: Draw) -> Call | None:
    vm = draw.vm_in(*lifecycle.FAILURES, *lifecycle.WAITING) if draw.likely(0.8) else draw.oid("vm")
    return None if vm is None else ("one.vm.recover", [vm, draw.one((0, 1, 2, 2, 2, 3, 3, 4, 4, 5))], 0)


def _resize(draw: Draw) -> Call:
    text = draw.one(("CPU=0.2", "MEMORY=256", "CPU=3\nMEMORY=1024\nVCPU=2", "CPU=-1", "MEMORY=99999999"))
    return "one.vm.resize", [draw.oid("vm"), text, draw.likely(0.7)], draw.user()


def _chown(draw: Draw) -> Call:
    api = draw.one(("vm", "vm", "image", "vn", "template"))
    return f"one.{api}.chown", [draw.oid(api), draw.one((-1, 0, 2, 3, 4)), draw.one((-1, 0, 1, 100, 101))], 0


def _edit(draw: Draw) -> Call:
    api = draw.one(("vm", "vm", "host", "image", "vn", "datastore", "template", "cluster", "secgroup"))
    what = draw.one(("update", "update", "rename", "lock", "unlock"))
    if what == "update":
        text = draw.one(
            ('NOTE="n"', 'RULE=[PROTOCOL="ICMP",RULE_TYPE="OUTBOUND"]', 'RESERVED_CPU="100"', 'X="<"')
        )
        return f"one.{api}.update", [draw.oid(api), text, draw.one((0, 1))], draw.user()
    if what == "rename":
        api = api if api != "host" else "vm"
        return f"one.{api}.rename", [draw.oid(api), draw.one(("web", "db", "third", ""))], draw.user()
    lockable = api if api in ("vm", "image", "vn", "template") else "vm"
    level = [draw.one((0, 1, 2, 3, 4)), draw.likely(0.3)] if what == "lock" else []
    return f"one.{lockable}.{what}", [draw.oid(lockable), *level], draw.user()


def _image(draw: Draw) -> Call:
    oid, user = draw.oid("image"), draw.user()
    return _any_of(
        draw,
        (
            ("one.image.allocate", [draw.image_template(), draw.one((1, 1, 101, 0)), True], user),
            ("one.image.allocate", [draw.image_template(), draw.one((1, 101)), True], user),
            ("one.image.clone", [oid, f"clone{draw.chance.randrange(4)}", draw.one((-1, 1, 101))], user),
            ("one.image.delete", [oid], user),
            ("one.image.enable", [oid, draw.likely(0.6)], user),
            ("one.image.persistent", [oid, draw.likely(0.5)], user),
        ),
    )


def _network(draw: Draw) -> Call:
    oid, user = draw.oid("vn"), draw.user()
    lease = f'LEASES=[IP="10.0.0.{draw.chance.randrange(1, 8)}"]'
    return _any_of(
        draw,
        (
            ("one.vn.hold", [oid, lease], user),
            ("one.vn.release", [oid, lease], user),
            ("one.vn.reserve", [oid, f'NAME="part{draw.chance.randrange(3)}"\nSIZE=1'], user),
            ("one.vn.reserve", [0, "NETWORK_ID=2\nSIZE=1"], user),
            ("one.vn.add_ar", [oid, 'AR=[TYPE="IP4",IP="10.1.0.1",SIZE=3]'], 0),
            ("one.vn.rm_ar", [oid, draw.one((0, 1)), False], 0),
            ("one.vn.update_ar", [oid, f"AR=[AR_ID=0,SIZE={draw.one((2, 4, 8))}]"], 0),
            ("one.vn.delete", [oid], user),
            (
                "one.vn.allocate",
                ['NAME="late"\nVN_MAD="dummy"\nBRIDGE="b"\nAR=[TYPE="IP4",IP="10.2.0.1",SIZE=2]', -1],
                user,
            ),
        ),
    )


def _host(draw: Draw) -> Call:
    oid = draw.oid("host")
    state = draw.state.pools["host_pool"].entries.get(oid)
    if state is not None and state.state in (HostState.OFFLINE, HostState.DISABLED):
        return "one.host.status", [oid, 0], 0
    return _any_of(
        draw,
        (
            ("one.host.status", [oid, draw.one((0, 1, 2))], 0),
            ("one.host.status", [oid, draw.one((0, 1, 2))], 0),
            ("one.host.delete", [oid], 0),
            (
                "one.host.allocate",
                [f"spare{draw.chance.randrange(3)}", "dummy", "dummy", draw.one((-1, 100))],
                0,
            ),
            ("one.cluster.addhost", [draw.one((0, 100)), oid], 0),
        ),
    )


def _store(draw: Draw) -> Call:
    oid = draw.oid("datastore")
    return _any_of(
        draw,
        (
            ("one.datastore.enable", [oid, draw.likely(0.7)], 0),
            ("one.datastore.delete", [draw.one((oid, 102, 103))], 0),
            (
                "one.datastore.allocate",
                [f'NAME="ds{draw.chance.randrange(2)}"\nTYPE="SYSTEM_DS"\nTM_MAD="dummy"', -1],
                0,
            ),
            ("one.cluster.adddatastore", [100, oid], 0),
        ),
    )


def _people(draw: Draw) -> Call:
    user, group = draw.oid("user"), draw.oid("group")
    limits = (
        "VM=[VMS=3]",
        "VM=[RUNNING_VMS=1,CPU=4]",
        "NETWORK=[ID=0,LEASES=1]",
        "IMAGE=[ID=1,RVMS=1]",
        "VM=[VMS=-1]",
    )
    return _any_of(
        draw,
        (
            ("one.user.quota", [user, draw.one(limits)], 0),
            ("one.group.quota", [group, draw.one(limits)], 0),
            ("one.userquota.update", [draw.one(limits[:4])], 0),
            (
                "one.user.allocate",
                [f"user{draw.chance.randrange(4)}", "secret", "core", [group]],
                draw.user(),
            ),
            ("one.user.delete", [draw.one((5, 6, 7, user if user > 4 else 9))], 0),
            ("one.user.chgrp", [user if user else 2, group], 0),
            ("one.user.addgroup", [user, group], 0),
            ("one.user.delgroup", [user, group], 0),
            ("one.group.allocate", [f"group{draw.chance.randrange(3)}"], 0),
            ("one.group.delete", [draw.one((group, 102, 103))], 0),
            ("one.acl.delrule", [draw.chance.randrange(20)], 0),
            rule(draw.one(("@100 NET/* USE *", "#3 HOST/* MANAGE *", "* DATASTORE/* USE *"))),
        ),
    )


def _groups(draw: Draw) -> Call:
    oid, user = draw.oid("secgroup"), draw.user()
    return _any_of(
        draw,
        (
            ("one.secgroup.update", [oid, 'RULE=[PROTOCOL="TCP",RANGE="22",RULE_TYPE="INBOUND"]', 0], user),
            ("one.secgroup.commit", [oid, draw.likely(0.5)], user),
            ("one.secgroup.delete", [oid], user),
            ("one.secgroup.clone", [oid, f"group{draw.chance.randrange(3)}"], user),
        ),
    )


def _papers(draw: Draw) -> Call:
    """What is only written down: groups of VMs, templates of networks, documents, hooks."""
    user, name = draw.user(), f"name{draw.chance.randrange(3)}"
    group, hook = draw.oid("vmgroup"), draw.oid("hook")
    return _any_of(
        draw,
        (
            ("one.vmgroup.allocate", [f"NAME={name}\nROLE=[NAME=a]\nROLE=[NAME=b]"], user),
            ("one.vmgroup.update", [group, draw.one(('AFFINED="a,b"', "NOTE=x")), 1], user),
            ("one.vmgroup.delete", [group], user),
            ("one.vntemplate.instantiate", [draw.oid("vntemplate"), name, ""], user),
            ("one.document.allocate", [f"NAME={name}", draw.one((100, 101))], user),
            ("one.document.clone", [draw.oid("document"), name], user),
            ("one.document.delete", [draw.oid("document")], user),
            ("one.hook.allocate", [f"NAME={name}\nTYPE=api\nCALL=one.vm.allocate\nCOMMAND=x"], 0),
            ("one.hook.delete", [hook], 0),
            ("one.hook.lock", [hook, draw.one((1, 4)), False], 0),
        ),
    )


def _anything(draw: Draw) -> Call:
    name, arguments = draw.any_call()
    return name, arguments, draw.user()


REQUESTS: tuple[tuple[Deed, int], ...] = (
    (_allocate, 16),
    (_instantiate, 5),
    (_deploy, 7),
    (_act, 26),
    (_act_blindly, 3),
    (_migrate, 9),
    (_recover, 7),
    (_resize, 3),
    (_chown, 4),
    (_edit, 4),
    (_image, 7),
    (_network, 5),
    (_host, 4),
    (_store, 1),
    (_people, 4),
    (_groups, 2),
    (_papers, 3),
    (device_deeds.on_vm, 24),
    (device_deeds.on_snapshots, 3),
    (device_deeds.on_image, 2),
    (_anything, 6),
)


# What happens without anybody asking for it


def _guest(simulation: Simulation, draw: Draw) -> str:
    running = sorted(
        domain.vm_id
        for _, domain in simulation.world.domains()
        if domain.vm_id is not None and domain.state is DomainState.RUNNING
    )
    if not running:
        return ""
    vm, what = draw.one(running), draw.one(("crashes", "powers off", "writes", "is deaf"))
    if what == "crashes":
        simulation.world.guest_crashes(vm)
    elif what == "powers off":
        simulation.world.guest_powers_off(vm)
    elif what == "writes":
        simulation.world.guest_writes(vm)
    else:
        simulation.world.deaf.add(vm)
    return f"the guest of VM {vm} {what}"


def _host_fails(simulation: Simulation, draw: Draw) -> str:
    up = sorted(name for name, host in simulation.world.hosts.items() if host.up)
    if not up:
        return ""
    name = draw.one(up)
    simulation.world.host_fails(name)
    return f"host {name} fails"


def _host_returns(simulation: Simulation, draw: Draw) -> str:
    down = sorted(name for name, host in simulation.world.hosts.items() if not host.up)
    if not down:
        return ""
    name = draw.one(down)
    simulation.world.host_returns(name)
    return f"host {name} returns"


def _wild(simulation: Simulation, draw: Draw) -> str:
    up = sorted(name for name, host in simulation.world.hosts.items() if host.up)
    if not up:
        return ""
    simulation.world.start_wild(draw.one(up), "stranger")
    return "somebody starts a domain of his own"


def _write_fails(simulation: Simulation, draw: Draw) -> str:
    simulation.writes_to_fail = draw.one((1, 1, 2))
    return f"the next {simulation.writes_to_fail} writes fail"


def _slow_disk(simulation: Simulation, draw: Draw) -> str:
    simulation.weather.commit_seconds = draw.one((0.001, 0.05, 2.0))
    return f"a commit takes {simulation.weather.commit_seconds} s"


def _crash(simulation: Simulation, draw: Draw) -> str:  # noqa: ARG001 - a deed like the others
    simulation.crash()
    return ""


def _monitoring(simulation: Simulation, draw: Draw) -> str:  # noqa: ARG001 - as above
    simulation.process.poller.start()
    return "every host and datastore is looked at"


def _clock_jumps(simulation: Simulation, draw: Draw) -> str:
    seconds = draw.one((10.0, 600.0, 4000.0))
    simulation.loop.jump(seconds)
    return f"the clock jumps by {seconds} s"


HAPPENINGS: tuple[tuple[Callable[[Simulation, Draw], str], int], ...] = (
    (_guest, 6),
    (_host_fails, 2),
    (_host_returns, 3),
    (_wild, 1),
    (_write_fails, 4),
    (_slow_disk, 2),
    (_crash, 6),
    (_monitoring, 4),
    (_clock_jumps, 2),
)
