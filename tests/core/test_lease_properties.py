"""Whatever is done with networks, VMs and routers: no lease is given twice, no counter drifts, all return."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.core.vm_world import ANN, NODE0, Cloud, check

from merope.core import check_counts, check_relations
from merope.model.errors import ApiError
from merope.model.kinds import NET, VM_KIND, VROUTER
from merope.model.leases import HELD
from merope.model.permissions import ObjectType
from merope.model.phase import Phase
from merope.model.vnet import VirtualNetwork

NIC = st.sampled_from(
    [
        "NIC=[NETWORK_ID=0]",
        "NIC=[NETWORK_ID=0,IP=10.1.0.12]",
        "NIC=[NETWORK_ID=0,MAC=02:00:0a:01:00:0d]",
        "NIC=[NETWORK_ID=1]",
        'NIC=[NETWORK_ID=1,IP6="2001:db8::3"]',
        "NIC=[NETWORK_ID=0,FLOATING_IP=YES]",
        "NIC=[NETWORK_ID=0,FLOATING_IP=YES,FLOATING_ONLY=YES]",
        'NIC=[NETWORK_ID=0,SECURITY_GROUPS="100"]',
        "NIC=[NETWORK_ID=7]",
    ]
)
NICS = st.lists(NIC, min_size=1, max_size=3).map("\n".join)
OWNER = st.sampled_from([0, ANN])
PLACE = st.integers(0, 5)


class Leases(RuleBasedStateMachine):
    """Two networks, whatever uses them, and an owner with few leases."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Cloud()
        self.count = 0
        six = "AR=[TYPE=IP6_STATIC,IP6=2001:db8::1,PREFIX_LENGTH=64,SIZE=4]"
        self.cloud.call(0, "one.vn.allocate", f"NAME=six\nVN_MAD=dummy\nBRIDGE=b\n{six}", -1)
        self.cloud.call(0, "one.secgroup.allocate", "NAME=g\nRULE=[PROTOCOL=ALL,RULE_TYPE=inbound]")
        self.cloud.call(0, "one.secgroup.chmod", 100, -1, -1, -1, -1, -1, -1, 1, -1, -1)
        self.cloud.call(0, "one.template.allocate", "NAME=m\nCPU=0.01\nMEMORY=1\nVROUTER=YES")
        self.cloud.call(0, "one.template.chmod", 0, *[-1] * 6, 1, -1, -1, False)
        resource = f"{ObjectType.VROUTER | 0x4_0000_0000:x}"
        self.cloud.call(0, "one.acl.addrule", "200000001", resource, "8", "400000000")
        self.cloud.running("CPU=0.01\nMEMORY=1\nNIC=[NETWORK_ID=0]")
        self.cloud.call(ANN, "one.vrouter.allocate", "NAME=r\nNIC=[NETWORK_ID=0,FLOATING_IP=YES]")
        self.cloud.call(ANN, "one.vrouter.instantiate", 0, 1, 0, "", False, "")
        self.cloud.call(0, "one.vm.deploy", 1, NODE0)
        self.cloud.steps(2)
        self.cloud.call(0, "one.user.quota", ANN, "NETWORK=[ID=0,LEASES=8]")

    def attempt(self, who: int, name: str, *arguments: Any) -> None:
        try:
            self.cloud.call(who, name, *arguments)
        except ApiError:
            return

    def pick(self, kind: Any, place: int) -> int:
        """The id of one that is there, or of none."""
        ids = sorted(self.cloud.state.pool(kind).entries)
        return ids[place % len(ids)] if ids else 99

    @rule(nics=NICS, who=OWNER)
    def allocate(self, nics: str, who: int) -> None:
        self.attempt(who, "one.vm.allocate", f"CPU=0.01\nMEMORY=1\n{nics}", False)

    @rule(place=PLACE)
    def run(self, place: int) -> None:
        self.attempt(0, "one.vm.deploy", self.pick(VM_KIND, place), NODE0)
        for _ in range(2):
            self.cloud.answer()

    @rule(place=PLACE, action=st.sampled_from(["terminate-hard", "poweroff-hard", "resume", "resume"]))
    def act(self, place: int, action: str) -> None:
        self.attempt(0, "one.vm.action", action, self.pick(VM_KIND, place))

    @rule(place=PLACE, how=st.sampled_from([0, 1, 3, 4]))
    def recover(self, place: int, how: int) -> None:
        self.attempt(0, "one.vm.recover", self.pick(VM_KIND, place), how)

    @rule(place=PLACE, nic=NIC, who=OWNER, alias=st.booleans())
    def attach(self, place: int, nic: str, who: int, alias: bool) -> None:
        asked = nic.replace("NIC=[", "NIC_ALIAS=[PARENT=NIC0,") if alias else nic
        self.attempt(who, "one.vm.attachnic", self.pick(VM_KIND, place), asked)

    @rule(place=PLACE, number=st.integers(0, 3))
    def detach(self, place: int, number: int) -> None:
        self.attempt(0, "one.vm.detachnic", self.pick(VM_KIND, place), number)

    @rule(place=PLACE, who=OWNER)
    def chown(self, place: int, who: int) -> None:
        self.attempt(0, "one.vm.chown", self.pick(VM_KIND, place), who, -1)

    @rule(ok=st.booleans())
    def answer(self, ok: bool) -> None:
        self.cloud.answer(ok, "no")

    @rule(nics=NICS, who=OWNER)
    def route(self, nics: str, who: int) -> None:
        self.attempt(who, "one.vrouter.allocate", f"NAME=r\n{nics}")

    @rule(place=PLACE, count=st.integers(1, 2), who=OWNER)
    def instantiate(self, place: int, count: int, who: int) -> None:
        self.attempt(who, "one.vrouter.instantiate", self.pick(VROUTER, place), count, 0, "", False, "")

    @rule(place=PLACE, nic=NIC, who=OWNER)
    def attach_router(self, place: int, nic: str, who: int) -> None:
        self.attempt(who, "one.vrouter.attachnic", self.pick(VROUTER, place), nic)

    @rule(place=PLACE, number=st.integers(0, 3))
    def detach_router(self, place: int, number: int) -> None:
        self.attempt(0, "one.vrouter.detachnic", self.pick(VROUTER, place), number)

    @rule(place=PLACE, who=OWNER)
    def chown_router(self, place: int, who: int) -> None:
        self.attempt(0, "one.vrouter.chown", self.pick(VROUTER, place), who, -1)

    @rule(place=PLACE)
    def delete_router(self, place: int) -> None:
        self.attempt(0, "one.vrouter.delete", self.pick(VROUTER, place))

    @rule(last=st.integers(9, 31), hold=st.booleans())
    def hold(self, last: int, hold: bool) -> None:
        self.attempt(0, "one.vn.hold" if hold else "one.vn.release", 0, f"LEASES=[IP=10.1.0.{last}]")

    @rule(size=st.integers(1, 4), who=OWNER)
    def reserve(self, size: int, who: int) -> None:
        self.count += 1
        self.attempt(who, "one.vn.reserve", 0, f"NAME=r{self.count}\nSIZE={size}")

    @rule(place=PLACE)
    def delete_network(self, place: int) -> None:
        oid = self.pick(NET, place)
        if oid > 1:
            self.attempt(0, "one.vn.delete", oid)

    @rule(size=st.integers(1, 3))
    def add_range(self, size: int) -> None:
        self.attempt(0, "one.vn.add_ar", 0, f"AR=[TYPE=ETHER,SIZE={size}]")

    @rule(number=st.integers(1, 4))
    def remove_range(self, number: int) -> None:
        self.attempt(0, "one.vn.rm_ar", 0, number)

    @rule(rules=st.sampled_from(["RANGE=22", "RANGE=23"]))
    def update_group(self, rules: str) -> None:
        self.attempt(0, "one.secgroup.update", 100, f"RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,{rules}]", 0)

    @invariant()
    def nothing_drifts(self) -> None:
        check(self.cloud)
        for found in (*check_counts.CHECKS, *check_relations.CHECKS):
            assert [finding.sentence for finding in found(self.cloud.state)] == []

    def teardown(self) -> None:
        """When everything has ended, what is on hold is all that is leased."""
        for oid in sorted(self.cloud.state.pool(VROUTER).entries):
            self.cloud.call(0, "one.vrouter.delete", oid)
        for oid in sorted(self.cloud.state.pool(VM_KIND).entries):
            if self.cloud.phase(oid) is not Phase.DONE:
                self.cloud.call(0, "one.vm.recover", oid, 3)
        for oid in sorted(self.cloud.state.pool(NET).entries):
            if oid > 1:
                self.cloud.call(0, "one.vn.delete", oid)
        for oid in (0, 1):
            network = self.cloud.get(VirtualNetwork, oid)
            assert {owner for ranged in network.ar_pool for _, owner in ranged.leases} <= {HELD}
        assert self.cloud.state.user_quotas[ANN].usage().amounts.keys() == {("DATASTORE", 1), ("NETWORK", 0)}


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
