"""What is stored encrypted is shown as it is stored, and decrypted to administrators who ask."""

import pytest
from tests.core.conftest import Core
from tests.core.schemas import check_schema

from merope.engine.job import Job
from merope.engine.opening import opened
from merope.model import secret_attributes
from merope.model.effect import Effect
from merope.model.vm import VM
from merope.model.vm_template import VmTemplate
from merope.model.vnet import VirtualNetwork

pytestmark = pytest.mark.skipif(
    not secret_attributes.is_available(), reason="the package cryptography (extra gate) is not installed"
)
KEY = "9d6d4717b503af2e11224f40e961682dd0b3fa32bb576388a3f4591f80eaf79e"
WITH_PASSWORD = 'CPU=0.1\nMEMORY=16\nCONTEXT=[PASSWORD="opensesame",USER="me"]\n'
PLAIN = "<PASSWORD><![CDATA[opensesame]]></PASSWORD>"


@pytest.fixture
def core() -> Core:
    return Core(one_key=KEY)


def context(core: Core, kind: type[VM] | type[VmTemplate], oid: int) -> dict[str, str]:
    found = core.get(kind, oid).template.vector("CONTEXT")
    assert found is not None
    return dict(found)


def test_a_vms_password_is_stored_encrypted_and_shown_to_administrators_who_ask(core: Core) -> None:
    ann = core.user("ann")
    oid = core.call(ann, "one.vm.allocate", WITH_PASSWORD, True)
    assert "opensesame" not in core.state.pools["vm_pool"].entries[oid].body
    assert "opensesame" not in core.call(0, "one.vm.info", oid)
    assert "opensesame" not in core.call(ann, "one.vm.info", oid, True)
    document = core.call(0, "one.vm.info", oid, True)
    assert PLAIN in document
    check_schema(document, "vm")
    assert context(core, VM, oid)["PASSWORD"] != "opensesame"


def test_a_change_of_a_vm_does_not_encrypt_twice(core: Core) -> None:
    oid = core.call(0, "one.vm.allocate", WITH_PASSWORD, True)
    before = context(core, VM, oid)
    core.call(0, "one.vm.rename", oid, "other")
    assert context(core, VM, oid) == before


def test_a_vm_has_the_password_of_its_template(core: Core) -> None:
    template = core.call(0, "one.template.allocate", f"NAME=t\n{WITH_PASSWORD}")
    assert "opensesame" not in core.call(0, "one.template.info", template)
    assert PLAIN in core.call(0, "one.template.info", template, False, True)
    assert PLAIN in core.call(0, "one.template.info", template, True, True)
    oid = core.call(0, "one.template.instantiate", template, "", True)
    assert PLAIN in core.call(0, "one.vm.info", oid, True)


def test_a_template_that_is_written_back_as_it_was_shown_keeps_its_password(core: Core) -> None:
    template = core.call(0, "one.template.allocate", f"NAME=t\n{WITH_PASSWORD}")
    before = context(core, VmTemplate, template)
    shown = core.get(VmTemplate, template).template.to_xml()
    core.call(0, "one.template.update", template, shown, 0)
    assert context(core, VmTemplate, template) == before


@pytest.mark.parametrize("api", ["datastore", "cluster", "host"])
def test_secrets_of_the_infrastructure(core: Core, api: str) -> None:
    core.call(0, "one.host.allocate", "node", "dummy", "dummy", -1)
    source = 'EC2_SECRET="hush"' if api == "host" else 'PROVISION=[PACKET_TOKEN="hush",NAME="x"]'
    core.call(0, f"one.{api}.update", 0, source, 1)
    assert "hush" not in core.call(0, f"one.{api}.info", 0)
    assert "hush" not in core.call(0, f"one.{api}pool.info")
    assert "<![CDATA[hush]]>" in core.call(0, f"one.{api}.info", 0, True)


def test_tokens_of_address_ranges(core: Core) -> None:
    source = 'NAME=n\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=ETHER,SIZE=2,PACKET_TOKEN="hush"]'
    oid = core.call(0, "one.vn.allocate", source, -1)
    assert "hush" not in core.call(0, "one.vn.info", oid)
    assert "<PACKET_TOKEN><![CDATA[hush]]></PACKET_TOKEN>" in core.call(0, "one.vn.info", oid, True)
    assert core.get(VirtualNetwork, oid).ar_pool[0].attributes["PACKET_TOKEN"] != "hush"


def test_drivers_get_what_was_meant(core: Core) -> None:
    oid = core.call(0, "one.vm.allocate", WITH_PASSWORD, True)
    vm = core.get(VM, oid)
    job = opened(Job(Effect(1, "vm.deploy", oid, 0, {}), vm=vm), core.settings)
    assert job.vm is not None
    given = job.vm.template.vector("CONTEXT")
    assert given is not None
    assert given["PASSWORD"] == "opensesame"
    assert context(core, VM, oid)["PASSWORD"] != "opensesame"


def test_a_job_without_secrets_is_left_as_it_is(core: Core) -> None:
    oid = core.call(0, "one.vm.allocate", "CPU=0.1\nMEMORY=16", True)
    job = Job(Effect(1, "vm.deploy", oid, 0, {}), vm=core.get(VM, oid))
    assert opened(job, core.settings) is job
