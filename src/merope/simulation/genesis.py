"""The cloud that every schedule begins with: a few of everything, small enough to run out of."""

import asyncio
import pickle
from typing import Any

from merope.core.bootstrap import bootstrap
from merope.core.transaction import Transaction
from merope.drivers.simulated.world import World
from merope.engine.cloud import Inputs
from merope.model.acl import parse_rule
from merope.model.errors import ApiError
from merope.simulation.disk import Disk
from merope.simulation.loop import START
from merope.simulation.simulation import Base, Simulation

#: The VM template that virtual routers are made of, and the marketplace that images are offered in.
ROUTER_TEMPLATE = 2
OWN_MARKET = 100
HOSTS = ("node0", "node1", "node2")
#: They have a topology; the second lets two VMs share a CPU.
PINNED_HOSTS = ("numa0", "numa1")
_DATASTORE = 'NAME="{}"\nTYPE="{}"\nTM_MAD="dummy"\n{}'


def rule(text: str) -> tuple[str, list[Any], int]:
    """The call that adds an ACL rule."""
    parsed = parse_rule(text)
    return ("one.acl.addrule", [f"{part:x}" for part in parsed.key], 0)


_CALLS: tuple[tuple[str, list[Any], int], ...] = (
    ("one.group.allocate", ["makers"], 0),
    ("one.group.allocate", ["breakers"], 0),
    ("one.user.allocate", ["ann", "secret", "core", [100]], 0),
    ("one.user.allocate", ["bob", "secret", "core", [100, 101]], 0),
    ("one.user.allocate", ["cid", "secret", "core", [101]], 0),
    ("one.user.quota", [2, "VM=[VMS=4,CPU=6,MEMORY=4096]"], 0),
    ("one.user.quota", [3, "VM=[RUNNING_VMS=2,VMS=-2]\nIMAGE=[ID=0,RVMS=2]\nNETWORK=[ID=0,LEASES=3]"], 0),
    ("one.group.quota", [100, "VM=[VMS=6,SYSTEM_DISK_SIZE=3000]\nDATASTORE=[ID=1,IMAGES=5]"], 0),
    rule("@100 VM+IMAGE+TEMPLATE+SECGROUP/* CREATE *"),
    rule("@101 VM+IMAGE+TEMPLATE+NET/* CREATE *"),
    rule("@100 MARKETPLACEAPP+VROUTER+DOCUMENT+VMGROUP+VNTEMPLATE/* CREATE *"),
    rule("@101 NET+DATASTORE/* USE *"),
    rule("#4 HOST/* MANAGE *"),
    ("one.cluster.allocate", ["annex"], 0),
    *(("one.host.allocate", [name, "dummy", "dummy", -1], 0) for name in HOSTS),
    ("one.host.allocate", ["annex0", "dummy", "dummy", 100], 0),
    *(("one.host.allocate", [name, "dummy", "dummy", -1], 0) for name in PINNED_HOSTS),
    ("one.host.update", [4, "PIN_POLICY=PINNED", 1], 0),
    ("one.host.update", [5, "PIN_POLICY=PINNED\nVMS_THREAD=2", 1], 0),
    # One host has a controller of its own, others their cluster's, and annex0 has none.
    ("one.host.update", [0, "FENCING=[DRIVER=dummy,ADDRESS=bmc0]", 1], 0),
    ("one.cluster.update", [0, 'FENCING=[DRIVER=dummy,ADDRESS="bmc-$NAME"]', 1], 0),
    (
        "one.hook.allocate",
        [
            "NAME=host_error\nTYPE=state\nRESOURCE=HOST\nSTATE=ERROR\nREMOTE=no\n"
            'COMMAND="ft/host_error.rb"\nARGUMENTS="$TEMPLATE -m -p 1"'
        ],
        0,
    ),
    ("one.datastore.allocate", [_DATASTORE.format("other", "SYSTEM_DS", 'DS_MIGRATE="YES"'), -1], 0),
    ("one.datastore.allocate", [_DATASTORE.format("more", "IMAGE_DS", 'DS_MAD="dummy"'), -1], 0),
    ("one.image.allocate", ['NAME="os"\nPATH="/images/os"', 1, False], 0),
    ("one.image.allocate", ['NAME="data"\nTYPE="DATABLOCK"\nSIZE=50', 1, False], 0),
    ("one.image.allocate", ['NAME="kept"\nPATH="/images/kept"\nPERSISTENT="YES"', 1, False], 0),
    ("one.image.allocate", ['NAME="kept2"\nPATH="/images/kept"\nPERSISTENT="YES"', 101, False], 2),
    (
        "one.vn.allocate",
        ['NAME="front"\nVN_MAD="dummy"\nBRIDGE="br0"\nAR=[TYPE="IP4",IP="10.0.0.1",SIZE=7]', -1],
        0,
    ),
    ("one.vn.allocate", ['NAME="back"\nVN_MAD="bridge"\nBRIDGE="br1"\nAR=[TYPE="ETHER",SIZE=3]', -1], 0),
    ("one.vn.reserve", [0, 'NAME="mine"\nSIZE=2'], 3),
    ("one.secgroup.allocate", ['NAME="web"\nRULE=[PROTOCOL="TCP",RANGE="80",RULE_TYPE="INBOUND"]'], 0),
    (
        "one.template.allocate",
        ['NAME="small"\nCPU=0.5\nMEMORY=128\nDISK=[IMAGE_ID=0]\nNIC=[NETWORK_ID=0]\nGRAPHICS=[TYPE="VNC"]'],
        0,
    ),
    ("one.template.allocate", ['NAME="tiny"\nCPU=0.1\nMEMORY=64\nDISK=[IMAGE="kept2"]'], 2),
    ("one.template.allocate", ["NAME=router\nCPU=0.1\nMEMORY=64\nDISK=[IMAGE_ID=0]\nVROUTER=YES"], 0),
    (
        "one.vn.allocate",
        ["NAME=managed\nVN_MAD=dummy\nBRIDGE=br9\nAR=[IPAM_MAD=dummy,TYPE=IP4,IP=10.9.0.1,SIZE=5]", -1],
        0,
    ),
    ("one.market.allocate", ["NAME=ours\nMARKET_MAD=http\nBASE_URL=http://m/\nPUBLIC_DIR=/m"], 0),
    ("one.group.allocate", ["empty"], 0),
    ("one.group.addadmin", [100, 2], 0),
    ("one.cluster.allocate", ["empty"], 0),
    ("one.zone.addserver", [0, "SERVER=[NAME=s9,ENDPOINT=http://s/]"], 0),
    ("one.vn.hold", [0, 'LEASES=[IP="10.0.0.7"]'], 0),
    ("one.vdc.allocate", ["NAME=lent"], 0),
    ("one.vdc.addhost", [100, 0, 1], 0),
    ("one.vdc.addcluster", [100, 0, 100], 0),
    ("one.vdc.adddatastore", [100, 0, 1], 0),
    ("one.vdc.addvnet", [100, 0, 1], 0),
    ("one.vrouter.allocate", ["NAME=edge\nNIC=[NETWORK_ID=0,FLOATING_IP=YES]\nNIC=[NETWORK_ID=1]"], 0),
    ("one.document.allocate", ["NAME=note\nA=1", 100], 0),
    ("one.vmgroup.allocate", ['NAME="tier"\nROLE=[NAME="a"]\nROLE=[NAME="b",POLICY="AFFINED"]'], 0),
    ("one.vmgroup.chmod", [0, 1, 1, 0, 1, 0, 0, 1, 0, 0], 0),
    ("one.vntemplate.allocate", ['NAME="plain"\nVN_MAD="dummy"\nBRIDGE="br2"'], 0),
    ("one.hook.allocate", ['NAME="made"\nTYPE="api"\nCALL="one.vm.allocate"\nCOMMAND="log.sh"'], 0),
)
#: What runs when a schedule begins.
_VMS: tuple[tuple[str, int], ...] = (
    ("NAME=old\nCPU=0.5\nMEMORY=128\nDISK=[IMAGE_ID=0]\nNIC=[NETWORK_ID=1]", 3),
    ("NAME=kept\nCPU=0.5\nMEMORY=128\nDISK=[IMAGE_ID=2]\nNIC=[NETWORK_ID=0]", 0),
    ("NAME=pinned\nVCPU=2\nCPU=1\nMEMORY=256\nTOPOLOGY=[PIN_POLICY=CORE]\nPCI=[VENDOR=10de]", 0),
    (
        "NAME=beside\nCPU=1\nMEMORY=256\nTOPOLOGY=[PIN_POLICY=THREAD,HUGEPAGE_SIZE=2]\n"
        'SCHED_REQUIREMENTS="NAME=numa0"',
        0,
    ),
)


def make(*, shared_storage: bool) -> Base:
    """Runs until everything is ready; without faults."""
    nothing = Base(Disk(), pickle.dumps(World(shared_storage=shared_storage)), START)
    simulation = Simulation(0, nothing)
    asyncio._set_running_loop(simulation.loop.as_asyncio)
    try:
        _furnish(simulation)
    finally:
        asyncio._set_running_loop(None)
    return Base(simulation.disk, pickle.dumps(simulation.world), simulation.loop.clock)


def _furnish(simulation: Simulation) -> None:
    def begin(tx: Transaction) -> int:
        bootstrap(tx, "hashed", sandbox=True, serveradmin_secret="hashed")  # noqa: S106 - nobody logs in
        return 0

    simulation.process.cloud.execute(begin, Inputs(internal=True))
    for name, arguments, uid in _CALLS:
        result = simulation.request(name, arguments, uid)
        if isinstance(result, ApiError):
            raise AssertionError(f"{name}{arguments}: {result.message}")
        simulation.step()
    for oid in (0, 1):
        simulation.request("one.image.chmod", [oid, -1, -1, -1, 1, 0, 0, 1, 0, 0])
        simulation.request("one.vn.chmod", [oid, -1, -1, -1, 1, 0, 0, 1, 0, 0])
    for oid in (0, ROUTER_TEMPLATE):
        simulation.request("one.template.chmod", [oid, -1, -1, -1, 1, 0, 0, 1, 0, 0, False])
    simulation.settle()
    for app in ("NAME=offered\nORIGIN_ID=0", "NAME=paper\nORIGIN_ID=0\nTYPE=VMTEMPLATE"):
        simulation.request("one.marketapp.allocate", [app, OWN_MARKET])
    simulation.settle()
    for template, uid in _VMS:
        simulation.request("one.vm.allocate", [template, False], uid)
    simulation.settle()
    _age(simulation)


def _age(simulation: Simulation) -> None:
    """What is here for some time has snapshots."""
    for name, arguments in (
        ("one.vm.snapshotcreate", [0, "first"]),
        ("one.vm.disksnapshotcreate", [1, 0, "first"]),
        ("one.vm.disksnapshotcreate", [1, 0, "second"]),
    ):
        simulation.request(name, arguments)
        simulation.settle()
