"""Marketplaces, apps, showback, search, schedules and front ends on a whole cloud, as clients see them."""

import base64
import time
from collections.abc import Iterator

import pytest
from tests.compat.api import Api
from tests.compat.conftest import Sandbox
from tests.core.schemas import check_schema

from merope.model.errors import Code

MARKET = 'NAME="shelf"\nMARKET_MAD="http"\nBASE_URL="http://apps.example/"\nPUBLIC_DIR="/tmp"'
VM = 'NAME="web"\nCPU="0.1"\nMEMORY="16"\nCPU_COST="3"\nROLE="front end"'


@pytest.fixture(scope="module")
def cloud(sandbox: Sandbox) -> Iterator[Api]:
    """A host, image 0 and marketplace 100."""
    with Api(sandbox.endpoint) as api:
        api("one.host.allocate", "node", "dummy", "dummy", -1)
        api("one.image.allocate", 'NAME="disk"\nTYPE="OS"\nSIZE="64"', 1, False)
        api.until(
            lambda: api.info("image", 0), lambda image: image.findtext("STATE") == "1", "image 0 is ready"
        )
        assert api("one.market.allocate", MARKET) == 100
        yield api


def app_ready(cloud: Api, oid: int) -> None:
    cloud.until(
        lambda: cloud.info("marketapp", oid), lambda app: app.findtext("STATE") == "1", f"app {oid} is ready"
    )


def test_an_image_becomes_an_app_and_an_app_an_image(cloud: Api) -> None:
    described = base64.b64encode(b'DEV_PREFIX="vd"').decode()
    source = f'NAME="tiny"\nORIGIN_ID="0"\nTYPE="IMAGE"\nVERSION="1.1"\nAPPTEMPLATE64="{described}"'
    app = cloud("one.marketapp.allocate", source, 100)
    app_ready(cloud, app)
    document = cloud("one.marketapp.info", app)
    check_schema(document, "marketplaceapp")
    check_schema(cloud("one.marketapppool.info", -2, -1, -1), "marketplaceapp_pool")
    check_schema(cloud("one.market.info", 100), "marketplace")
    assert cloud.info("market", 100).findtext("MARKETPLACEAPPS/ID") == str(app)
    origin = cloud.info("image", 0)
    assert (origin.findtext("STATE"), origin.find("APP_CLONES/ID")) == ("1", None)
    copy = cloud("one.image.allocate", f'NAME="copy"\nFROM_APP="{app}"\nTYPE="OS"', 1, False)
    image = cloud.info("image", copy)
    assert image.findtext("TEMPLATE/FROM_APP_NAME") == "tiny"
    assert image.findtext("PATH", "").startswith("http://apps.example/")
    assert image.findtext("SIZE") == "64"
    assert cloud("one.marketapp.enable", app, False) == app
    assert cloud("one.marketapp.lock", app, 1) == app
    assert cloud("one.marketapp.unlock", app) == app
    assert cloud("one.marketapp.rename", app, "small") == app
    assert cloud("one.marketapp.chmod", app, *(-1,) * 6, 1, -1, -1) == app
    assert cloud("one.marketapp.update", app, 'VERSION="2"', 1) == app
    assert cloud("one.marketapp.delete", app) == app
    assert cloud.refused("one.marketapp.info", app).code == Code.NO_EXISTS
    assert cloud.info("market", 100).find("MARKETPLACEAPPS/ID") is None


def test_what_a_marketplace_refuses_it_refuses_as_5_12_does(cloud: Api) -> None:
    refusal = cloud.refused("one.marketapp.allocate", 'NAME="x"\nORIGIN_ID="0"', 0)
    assert (refusal.code, refusal.message) == (Code.INTERNAL, "Create disabled for market: OpenNebula Public")
    refusal = cloud.refused("one.marketapp.allocate", 'NAME="x"', 100)
    assert refusal.message == "Missing ORIGIN_ID for the MARKETPLACEAPP"
    refusal = cloud.refused("one.marketapp.info", 4711)
    assert (refusal.code, refusal.message, refusal.oid) == (
        Code.NO_EXISTS,
        "Error getting marketplaceapp [4711].",
        4711,
    )


def test_costs_are_calculated_shown_and_valid(cloud: Api) -> None:
    vm = cloud("one.vm.allocate", VM, False)
    cloud.wait(vm, 3, 3)
    assert cloud("one.vmpool.calculateshowback", -1, -1, -1, -1) == ""
    document = cloud("one.vmpool.showback", -2, -1, -1, -1, -1)
    check_schema(document, "showback")
    assert "<VMNAME>web</VMNAME>" in document
    check_schema(cloud("one.vmpool.accounting", -2, -1, -1), "acct")
    assert cloud.refused("one.vmpool.calculateshowback", 13, 2026, -1, -1).code == Code.XML_RPC_API


def test_vms_are_found_by_key_and_value(cloud: Api) -> None:
    vm = cloud("one.vm.allocate", VM.replace("front end", "data-base"), True)
    assert cloud.ids("one.vmpool.info", -2, -1, -1, -1, "ROLE=data-base") == [vm]
    assert cloud.ids("one.vmpool.infoextended", -2, -1, -1, -1, "role=DATA-BASE") == [vm]
    assert cloud.ids("one.vmpool.info", -2, -1, -1, -1, "ROLE=data") == []


def test_an_action_is_done_at_its_time_and_once(cloud: Api) -> None:
    vm = cloud("one.vm.allocate", VM, True)
    at = int(time.time())
    cloud("one.vm.update", vm, f'SCHED_ACTION=[ACTION="release",TIME="{at}"]', 1)
    cloud.wait(vm, 3, 3)
    [action] = cloud.info("vm", vm).findall("USER_TEMPLATE/SCHED_ACTION")
    assert int(action.findtext("DONE", "0")) >= at
    assert action.findtext("MESSAGE") is None


def test_an_action_that_cannot_be_done_says_why(cloud: Api) -> None:
    vm = cloud("one.vm.allocate", VM, True)
    cloud("one.vm.update", vm, 'SCHED_ACTION=[ACTION="resume",TIME="+0"]', 1)
    document = cloud.until(
        lambda: cloud.info("vm", vm),
        lambda found: found.find("USER_TEMPLATE/SCHED_ACTION/MESSAGE") is not None,
        "the action has a message",
    )
    assert document.findtext("STATE") == "2"
    assert "not available for state HOLD" in document.findtext("USER_TEMPLATE/SCHED_ACTION/MESSAGE", "")


def test_front_ends_are_listed_and_answer_each_other(cloud: Api) -> None:
    server = 'SERVER=[NAME="front",ENDPOINT="http://localhost:2633/RPC2"]'
    assert cloud("one.zone.addserver", 0, server) == 0
    check_schema(cloud("one.zone.info", 0), "zone")
    check_schema(cloud("one.zone.raftstatus"), "raftstatus")
    assert cloud("one.zone.resetserver", 0, 0) == 0
    assert cloud("one.zone.delserver", 0, 0) == 0
    assert cloud.refused("one.zone.delserver", 0, 0).message == "SERVER not found in zone"


def test_sql_reads_and_writes_no_more_than_it_may(cloud: Api) -> None:
    answer = cloud.pool("one.system.sqlquery", "SELECT name FROM zone_pool")
    assert answer.findtext("RESULT/ROW/name") == "OpenNebula"
    assert cloud("one.system.sql", "DELETE FROM vm_showback", False) == 0
    assert cloud.refused("one.system.sql", "DELETE FROM vm_pool", False).code == Code.ACTION
    assert cloud.refused("one.system.sqlquery", "DELETE FROM vm_pool").code == Code.ACTION


def test_passwords_are_shown_to_administrators_who_ask(cloud: Api) -> None:
    source = 'NAME="guest"\nCPU="0.1"\nMEMORY="16"\nCONTEXT=[PASSWORD="opensesame"]'
    vm = cloud("one.vm.allocate", source, True)
    assert "opensesame" not in cloud("one.vm.info", vm)
    assert "opensesame" in cloud("one.vm.info", vm, True)
