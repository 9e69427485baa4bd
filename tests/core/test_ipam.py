"""Ranges whose addresses are managed elsewhere, with the simulated world's manager."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.core.conftest import sentence
from tests.core.vm_world import Cloud, check

from merope.core import ipam
from merope.core.execute import execute
from merope.core.methods import METHODS
from merope.core.transaction import SYSTEM, Caller, Transaction
from merope.drivers.errors import DriverError
from merope.drivers.simulated.addresses import SimulatedManager
from merope.model import secret_attributes
from merope.model.addressing import (
    ALLOCATE,
    GET,
    REGISTER,
    Answers,
    Question,
    Told,
    attributes_of,
    revealed,
)
from merope.model.effect import Effect
from merope.model.errors import ApiError, Code
from merope.model.vnet import VirtualNetwork
from merope.model.vrouter import VirtualRouter

MANAGED = "NAME=managed\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.9.0.1,SIZE=8,IPAM_MAD=dummy]"


class Managed(Cloud):
    """Puts questions to `manager` as the door does, and carries out what is returned to it."""

    def __init__(self, **settings: Any) -> None:
        self.manager = SimulatedManager()
        self.questions: list[Question] = []
        self.refusal = ""
        super().__init__(**settings)

    def call(self, who: Caller | int, name: str, *arguments: Any, **prepared: str | int) -> Any:
        answers = Answers()
        declared = METHODS[name]
        missing = declared.params[len(arguments) :]
        given = [*arguments, *(param.default for param in missing)]
        while True:
            tx = self.transaction(self.caller(who), **prepared)
            answers.begin()
            tx.context.addresses.asked.update(answers.asked)
            try:
                result = execute(tx, declared, given)
            except ipam.Asked as asked:
                tx.abandon()
                answers.asked[asked.question.key] = (asked.question, self._told(asked.question))
                continue
            except ApiError:
                tx.abandon()
                self._return(list(answers.asked.values()))
                raise
            answers.used = tx.context.addresses.used
            self.commit(tx)
            self._return(answers.unused())
            return result

    def _told(self, question: Question) -> Told:
        self.questions.append(question)
        try:
            if self.refusal:
                raise DriverError(self.refusal)
            if question.action == REGISTER:
                return Told(True, data=self.manager.register(question.attributes))
            if question.action == GET:
                return Told(True, data=self.manager.get(question.attributes, question.size))
            self.manager.allocate(question.attributes, question.index, question.size)
            return Told(True)
        except DriverError as error:
            return Told(False, str(error))

    def _return(self, pairs: list[tuple[Question, Told]]) -> None:
        tx = self.transaction(SYSTEM)
        for question, told in pairs:
            if told.ok:
                ipam.give_up(tx, question, told)
        self.commit(tx)

    def carry_out(self) -> list[Effect]:
        """Tells the manager what was returned."""
        effects = self.effects("ipam")
        for effect in effects:
            attributes = attributes_of(str(effect.arguments["range"]))
            if effect.op == "ipam.free":
                self.manager.free(attributes, int(effect.arguments["index"]), int(effect.arguments["size"]))
            else:
                self.manager.unregister(attributes)
        self.answer(op="ipam")
        return effects

    def fails(self, who: Caller | int, name: str, *arguments: Any, **prepared: str | int) -> ApiError:
        with pytest.raises(ApiError) as caught:
            self.call(who, name, *arguments, **prepared)
        return caught.value


@pytest.fixture
def cloud() -> Managed:
    """With network 1, whose range the manager knows."""
    made = Managed()
    assert made.call(0, "one.vn.allocate", MANAGED, -1) == 1
    return made


def given(cloud: Managed) -> list[int]:
    """What the manager has given, of all ranges."""
    return sorted(index for leases in cloud.manager.taken.values() for index, _ in leases)


def leased(cloud: Managed, network: int = 1) -> list[int]:
    return [index for ranged in cloud.get(VirtualNetwork, network).ar_pool for index, _ in ranged.leases]


VM = "CPU=0.1\nMEMORY=16\nNIC=[NETWORK_ID=1]"


def test_a_range_is_what_its_manager_makes_of_it(cloud: Managed) -> None:
    sample = "NAME=sample\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,SIZE=2,IPAM_MAD=dummy,LABEL=mine]"
    oid = cloud.call(0, "one.vn.allocate", sample, -1)
    [ranged] = cloud.get(VirtualNetwork, oid).ar_pool
    assert (ranged.attributes["IP"], ranged.size) == ("10.0.0.1", 100)
    assert (ranged.attributes["GATEWAY"], ranged.attributes["LABEL"]) == ("10.0.0.1", "mine")
    assert ranged.attributes["IPAM_MAD"] == "dummy"


@pytest.mark.parametrize("name", ["x", "../dummy", "dummy ", "DUMMY", "a" * 99])
def test_a_driver_that_is_not_configured_is_not_asked(cloud: Managed, name: str) -> None:
    before = len(cloud.questions)
    error = cloud.fails(0, "one.vn.add_ar", 1, f'AR=[TYPE=IP4,IP=10.8.0.1,SIZE=1,IPAM_MAD="{name}"]')
    assert (error.code, error.message[:21]) == (Code.ACTION, "IPAM_MAD must be one ")
    assert len(cloud.questions) == before


def test_a_lease_is_asked_for_and_given_as_the_manager_says(cloud: Managed) -> None:
    cloud.manager.allocate(cloud.get(VirtualNetwork, 1).ar_pool[0].attributes, 0, 3)
    cloud.call(0, "one.vm.allocate", VM, False)
    assert leased(cloud) == [3]
    check(cloud)


def test_a_vm_with_several_nics_asks_for_each(cloud: Managed) -> None:
    cloud.call(0, "one.vm.allocate", VM + "\nNIC=[NETWORK_ID=1]\nNIC=[NETWORK_ID=1,IP=10.9.0.8]", False)
    assert leased(cloud) == given(cloud) == [0, 1, 7]
    assert [question.action for question in cloud.questions[1:]] == [GET, GET, ALLOCATE]


def test_an_address_that_others_have_is_refused_in_the_managers_words(cloud: Managed) -> None:
    cloud.manager.allocate(cloud.get(VirtualNetwork, 1).ar_pool[0].attributes, 2, 1)
    error = cloud.fails(0, "one.vm.allocate", "CPU=1\nMEMORY=1\nNIC=[NETWORK_ID=1,IP=10.9.0.3]", False)
    assert error.message.endswith(
        "IP 10.9.0.3 is not available in virtual network 1. The address manager dummy said: "
        "the addresses are given to others"
    )
    error = cloud.fails(0, "one.vn.hold", 1, "LEASES=[IP=10.9.0.3]")
    assert sentence(error) == (
        Code.ACTION,
        "The address manager dummy said: the addresses are given to others",
    )


def test_the_next_range_serves_when_a_manager_has_nothing(cloud: Managed) -> None:
    cloud.call(0, "one.vn.add_ar", 1, "AR=[TYPE=IP4,IP=10.8.0.1,SIZE=4]")
    cloud.refusal = "closed"
    cloud.call(0, "one.vm.allocate", VM, False)
    network = cloud.get(VirtualNetwork, 1)
    assert [ranged.used for ranged in network.ar_pool] == [0, 1]


def test_what_a_refused_request_was_given_is_returned(cloud: Managed) -> None:
    cloud.fails(0, "one.vm.allocate", VM + "\nDISK=[IMAGE_ID=99]", False)
    cloud.fails(0, "one.vm.allocate", VM + "\nNIC=[NETWORK_ID=0,IP=1.2.3.4]", False)
    assert given(cloud) != []
    cloud.carry_out()
    assert (given(cloud), leased(cloud)) == ([], [])
    before = len(cloud.manager.taken)
    cloud.manager.allocate({"IP": "10.7.0.1", "SIZE": "1"}, 0, 1)
    cloud.fails(
        0,
        "one.vn.allocate",
        "NAME=managed\nVN_MAD=dummy\nAR=[TYPE=IP4,IP=10.7.0.1,SIZE=1,IPAM_MAD=dummy]",
        -1,
    )
    cloud.fails(
        0, "one.vn.add_ar", 1, "AR=[TYPE=IP4,IP=10.7.0.1,SIZE=1,IPAM_MAD=dummy]\nAR=[TYPE=IP4,SIZE=0]"
    )
    cloud.carry_out()
    assert len(cloud.manager.taken) == before, "the range was unregistered"


def test_a_lease_that_ends_is_returned_until_the_manager_knows(cloud: Managed) -> None:
    vm_id = cloud.call(0, "one.vm.allocate", VM, False)
    cloud.call(0, "one.vm.action", "terminate", vm_id)
    [effect] = cloud.effects("ipam")
    assert (effect.op, effect.oid, effect.host) == ("ipam.free", 1, -1)
    error = cloud.fails(0, "one.vm.allocate", "CPU=1\nMEMORY=1\nNIC=[NETWORK_ID=1,IP=10.9.0.1]", False)
    assert "is being returned to its manager" in error.message
    cloud.carry_out()
    assert given(cloud) == []
    cloud.call(0, "one.vm.allocate", "CPU=1\nMEMORY=1\nNIC=[NETWORK_ID=1,IP=10.9.0.1]", False)
    check(cloud)


def test_an_address_that_a_manager_gives_twice_is_refused_and_stays_with_who_has_it(cloud: Managed) -> None:
    cloud.call(0, "one.vm.allocate", VM, False)
    cloud.manager.taken.clear()
    error = cloud.fails(0, "one.vm.allocate", VM, False)
    assert "The address manager gave 10.9.0.1" in error.message
    assert cloud.effects("ipam") == []
    assert leased(cloud) == [0]


def test_holds_are_asked_for_and_returned(cloud: Managed) -> None:
    cloud.call(0, "one.vn.hold", 1, "LEASES=[IP=10.9.0.4]")
    assert leased(cloud) == given(cloud) == [3]
    cloud.call(0, "one.vn.release", 1, "LEASES=[IP=10.9.0.4]")
    cloud.carry_out()
    assert leased(cloud) == given(cloud) == []


def test_reservations_are_asked_for_and_returned(cloud: Managed) -> None:
    cloud.call(0, "one.vn.hold", 1, "LEASES=[IP=10.9.0.2]")
    oid = cloud.call(0, "one.vn.reserve", 1, "NAME=some\nSIZE=3")
    cloud.call(0, "one.vn.reserve", 1, f"NETWORK_ID={oid}\nSIZE=2\nAR_ID=0\nIP=10.9.0.7")
    assert leased(cloud) == given(cloud) == [1, 2, 3, 4, 6, 7]
    assert all("IPAM_MAD" not in ranged.attributes for ranged in cloud.get(VirtualNetwork, oid).ar_pool)
    error = cloud.fails(0, "one.vn.reserve", 1, "NAME=more\nSIZE=2")
    assert "there are no addresses left" in error.message
    cloud.call(0, "one.vn.rm_ar", oid, 1)
    cloud.call(0, "one.vn.delete", oid)
    cloud.carry_out()
    assert leased(cloud) == given(cloud) == [1]


def test_floating_addresses_are_asked_for_and_returned(cloud: Managed) -> None:
    cloud.call(0, "one.vrouter.allocate", "NAME=edge\nNIC=[NETWORK_ID=1,FLOATING_IP=YES]")
    assert cloud.get(VirtualRouter, 0).template.vectors("NIC")[0]["VROUTER_IP"] == "10.9.0.1"
    assert given(cloud) == [0]
    cloud.call(0, "one.vrouter.delete", 0)
    cloud.carry_out()
    assert given(cloud) == []


def test_a_range_that_goes_is_unregistered(cloud: Managed) -> None:
    cloud.call(0, "one.vn.add_ar", 1, "AR=[TYPE=IP4,IP=10.8.0.1,SIZE=4,IPAM_MAD=dummy]")
    cloud.call(0, "one.vn.rm_ar", 1, 1)
    assert [effect.op for effect in cloud.carry_out()] == ["ipam.unregister"]
    cloud.call(0, "one.vn.delete", 1)
    assert [effect.op for effect in cloud.carry_out()] == ["ipam.unregister"]
    assert not cloud.exists(VirtualNetwork, 1)


def test_who_may_not_do_it_asks_nobody(cloud: Managed) -> None:
    before = len(cloud.questions)
    cloud.fails(2, "one.vn.hold", 1, "LEASES=[IP=10.9.0.4]")
    cloud.fails(2, "one.vn.allocate", MANAGED, -1)
    assert len(cloud.questions) == before


class Machine(RuleBasedStateMachine):
    """Whatever is done, the manager and the network agree once all that is returned has got there."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Managed()
        self.cloud.call(0, "one.vn.allocate", MANAGED, -1)

    def attempt(self, name: str, *arguments: Any) -> None:
        try:
            self.cloud.call(0, name, *arguments)
        except ApiError:
            return

    @rule(nics=st.integers(1, 3), bad=st.booleans())
    def allocate(self, nics: int, bad: bool) -> None:
        text = "CPU=0.1\nMEMORY=1" + nics * "\nNIC=[NETWORK_ID=1]" + ("\nDISK=[IMAGE_ID=99]" if bad else "")
        self.attempt("one.vm.allocate", text, False)

    @rule(number=st.integers(0, 6))
    def terminate(self, number: int) -> None:
        alive = sorted(self.cloud.state.pools["vm_pool"].entries)
        if number < len(alive):
            self.attempt("one.vm.action", "terminate", alive[number])

    @rule(index=st.integers(1, 9), hold=st.booleans())
    def hold(self, index: int, hold: bool) -> None:
        self.attempt("one.vn.hold" if hold else "one.vn.release", 1, f"LEASES=[IP=10.9.0.{index}]")

    @rule(size=st.integers(1, 4))
    def reserve(self, size: int) -> None:
        self.attempt("one.vn.reserve", 1, f"NAME=r{self.cloud.index}\nSIZE={size}")

    @rule(oid=st.integers(2, 6))
    def give_back(self, oid: int) -> None:
        self.attempt("one.vn.delete", oid)

    @rule()
    def carry_out(self) -> None:
        self.cloud.carry_out()

    @invariant()
    def every_lease_is_the_managers(self) -> None:
        assert set(leased(self.cloud)) <= set(given(self.cloud))
        check(self.cloud)

    def teardown(self) -> None:
        self.cloud.carry_out()
        assert leased(self.cloud) == given(self.cloud)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_a_command_that_nobody_asks_for_says_what_it_needs() -> None:
    cloud = Cloud()

    def run(tx: Transaction) -> None:
        METHODS["one.vn.allocate"].run(tx, MANAGED, -1)

    with pytest.raises(ipam.Asked) as caught:
        run(cloud.transaction(SYSTEM))
    assert caught.value.question.action == REGISTER


def test_secrets_of_a_range_are_stored_encrypted_on_their_way_back_too() -> None:
    if not secret_attributes.is_available():
        pytest.skip("the package cryptography is not installed")
    cloud = Managed(one_key="k" * 32)
    secret = "AR=[TYPE=IP4,IP=10.8.0.1,SIZE=1,IPAM_MAD=dummy,PACKET_TOKEN=open]"
    cloud.call(0, "one.vn.add_ar", 0, secret)
    cloud.call(0, "one.vn.rm_ar", 0, 1)
    [effect] = cloud.effects("ipam")
    stored = attributes_of(str(effect.arguments["range"]))
    assert stored["PACKET_TOKEN"] != "open"
    assert revealed(stored, cloud.settings)["PACKET_TOKEN"] == "open"
