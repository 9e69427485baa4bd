"""Every document that the API answers is valid against the published 5.12 schemas.

The schemas are read from ../shared/xsd beside the repository and are never part of it.
"""

import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import pytest
from tests.compat.conftest import Sandbox
from tests.core.schemas import check_schema

#: Method, its arguments → schema. The objects are those of the `furnished` fixture.
DOCUMENTS: tuple[tuple[str, tuple[Any, ...], str], ...] = (
    ("one.user.info", (0, False), "user"),
    ("one.user.info", (2, False), "user"),
    ("one.userpool.info", (), "user_pool"),
    ("one.group.info", (1, False), "group"),
    ("one.grouppool.info", (), "group_pool"),
    ("one.acl.info", (), "acl_pool"),
    ("one.host.info", (0, False), "host"),
    ("one.hostpool.info", (), "host_pool"),
    ("one.cluster.info", (0, False), "cluster"),
    ("one.clusterpool.info", (), "cluster_pool"),
    ("one.datastore.info", (0, False), "datastore"),
    ("one.datastore.info", (1, False), "datastore"),
    ("one.datastorepool.info", (), "datastore_pool"),
    ("one.image.info", (0, False), "image"),
    ("one.imagepool.info", (-2, -1, -1), "image_pool"),
    ("one.vn.info", (0, False), "vnet"),
    ("one.vn.info", (1, False), "vnet"),
    ("one.vnpool.info", (-2, -1, -1), "vnet_pool"),
    ("one.vrouter.info", (0, False), "vrouter"),
    ("one.vrouterpool.info", (-2, -1, -1), "vrouter_pool"),
    ("one.secgroup.info", (0, False), "security_group"),
    ("one.secgrouppool.info", (-2, -1, -1), "security_group_pool"),
    ("one.template.info", (0, False, False), "vmtemplate"),
    ("one.template.info", (0, True, False), "vmtemplate"),
    ("one.templatepool.info", (-2, -1, -1), "vmtemplate_pool"),
    ("one.vm.info", (0, False), "vm"),
    ("one.vm.info", (1, False), "vm"),
    ("one.vm.info", (2, False), "vm"),
    ("one.vmpool.info", (-2, -1, -1, -2), "vm_pool"),
    ("one.zone.info", (0, False), "zone"),
    ("one.zonepool.info", (), "zone_pool"),
    ("one.vdc.info", (0, False), "vdc"),
    ("one.vdcpool.info", (), "vdc_pool"),
    ("one.market.info", (0, False), "marketplace"),
    ("one.marketpool.info", (), "marketplace_pool"),
    ("one.zone.raftstatus", (), "raftstatus"),
    ("one.document.info", (0, False), "document"),
    ("one.documentpool.info", (-2, -1, -1, 100), "document_pool"),
    ("one.vntemplate.info", (0, False), "vntemplate"),
    ("one.vntemplatepool.info", (-2, -1, -1), "vntemplate_pool"),
    ("one.vmgroup.info", (0, False), "vm_group"),
    ("one.vmgrouppool.info", (-2, -1, -1), "vm_group_pool"),
    ("one.hook.info", (0, False), "hook"),
    ("one.hook.info", (1, False), "hook"),
    ("one.hookpool.info", (-2, -1, -1), "hook_pool"),
)


class Caller:
    def __init__(self, sandbox: Sandbox) -> None:
        self._proxy = xmlrpc.client.ServerProxy(sandbox.endpoint)
        self._auth = sandbox.auth

    def __call__(self, method: str, *arguments: Any) -> Any:
        answer: Any = getattr(self._proxy, method)(self._auth, *arguments)
        assert answer[0], answer[1]
        return answer[1]

    def close(self) -> None:
        self._proxy("close")()

    def settle(self, method: str, oid: int, wanted: str) -> None:
        for _ in range(500):
            if wanted in self(method, oid, False):
                return
        raise AssertionError(f"{method} {oid} never said {wanted}")


@pytest.fixture(scope="module")
def furnished(sandbox: Sandbox) -> Iterator[Caller]:
    """A cloud with one of each: a running VM that was powered off and on, and one that is done."""
    call = Caller(sandbox)
    furnish(call)
    yield call
    call.close()


def furnish(call: Caller) -> None:
    call("one.user.allocate", "ann", "secret", "core", [1, 0])
    call("one.user.quota", 2, "VM=[VMS=4,CPU=-2] DATASTORE=[ID=1,SIZE=2048] NETWORK=[ID=0,LEASES=4]")
    call("one.user.login", "oneadmin", "", 3600, -1)
    call("one.host.allocate", "schema-host", "dummy", "dummy", -1)
    network = 'NAME="n" VN_MAD="dummy" BRIDGE="br0" DNS="10.1.0.1" AR=[TYPE="IP4",IP="10.1.0.10",SIZE="9"]'
    call("one.vn.allocate", network.replace('" ', '"\n'), -1)
    call("one.image.allocate", 'NAME="disk"\nTYPE="DATABLOCK"\nSIZE="64"', 1, False)
    call.settle("one.image.info", 0, "<STATE>1</STATE>")
    template = (
        'NAME="web"\nDESCRIPTION="a <small> & web"\nCPU="0.5"\nMEMORY="64"\n'
        'DISK=[IMAGE_ID="0"]\nDISK=[TYPE="fs",SIZE="5"]\n'
        'NIC=[NETWORK_ID="0"]\nCONTEXT=[NETWORK="YES",WHO="$NAME <&>"]\nGRAPHICS=[TYPE="VNC"]\n'
        'PRICE="1 < 2"\nSCHED_RANK="FREE_MEMORY"'
    )
    tid = call("one.template.allocate", template)
    vm = call("one.template.instantiate", tid, "one", False, "", False)
    gone = call("one.template.instantiate", tid, "gone", True, "", False)
    assert (tid, vm, gone) == (0, 0, 1)
    running = "<LCM_STATE>3</LCM_STATE>"
    call.settle("one.vm.info", vm, running)
    call("one.vm.action", "poweroff", vm)
    call.settle("one.vm.info", vm, "<STATE>8</STATE>")
    call("one.vm.action", "resume", vm)
    call.settle("one.vm.info", vm, running)
    call("one.vm.action", "terminate", gone)
    call("one.document.allocate", 'NAME="doc"\nBODY="{}"', 100)
    call("one.vntemplate.allocate", 'NAME="vlan"\nVN_MAD="dummy"\nBRIDGE="b0"')
    call(
        "one.vmgroup.allocate",
        'NAME="tier"\nROLE=[NAME="a",HOST_AFFINED="0"]\nROLE=[NAME="b"]\nAFFINED="a,b"',
    )
    call("one.hook.allocate", 'NAME="made"\nTYPE="api"\nCALL="one.vm.allocate"\nCOMMAND="log.sh"')
    call(
        "one.hook.allocate",
        'NAME="bad"\nTYPE="state"\nRESOURCE="HOST"\nSTATE="ERROR"\nCOMMAND="ft.sh"\nTIMEOUT="5"',
    )
    call("one.vn.reserve", 0, 'NAME="mine"\nSIZE="2"')
    machine = 'NAME="router"\nCPU="0.1"\nMEMORY="16"\nVROUTER="YES"\nCONTEXT=[NETWORK="YES"]'
    tid = call("one.template.allocate", machine)
    call("one.vrouter.allocate", 'NAME="edge"\nNIC=[NETWORK_ID="0",FLOATING_IP="YES"]')
    call("one.vrouter.instantiate", 0, 1, tid, "", True, "")


@pytest.mark.parametrize(("method", "arguments", "schema"), DOCUMENTS)
def test_a_document_is_valid(furnished: Caller, method: str, arguments: tuple[Any, ...], schema: str) -> None:
    check_schema(furnished(method, *arguments), schema)


def test_the_document_of_a_locked_vm_is_valid(furnished: Caller) -> None:
    # Alone: the published schema of the pool has no LOCK, which 5.12 writes there all the same.
    furnished("one.vm.lock", 0, 2)
    locked = furnished("one.vm.info", 0, False)
    furnished("one.vm.unlock", 0)
    assert "<LOCKED>2</LOCKED>" in locked
    check_schema(locked, "vm")
