"""Commands of network templates, routers, VM groups, VDCs, hooks, markets, apps, costs: what is sent."""

import base64
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.recorded import Answer, Call, FakeCloud, Outcome, Screen, command, recorded

from merope.client import OneError
from merope.model.template import Template

_APP = (
    "<MARKETPLACEAPP><ID>40</ID><NAME>debian</NAME><UNAME>ann</UNAME><GNAME>users</GNAME><REGTIME>1795226174</REGTIME>"
    "<ZONE_ID>0</ZONE_ID><ORIGIN_ID>5</ORIGIN_ID><SOURCE>{source}</SOURCE><MD5>{md5}</MD5><SIZE>40</SIZE>"
    "<DESCRIPTION>small</DESCRIPTION><VERSION>1.0</VERSION><FORMAT>raw</FORMAT>"
    "<APPTEMPLATE64>{image}</APPTEMPLATE64><MARKETPLACE_ID>100</MARKETPLACE_ID><MARKETPLACE>shelf</MARKETPLACE>"
    "<STATE>{state}</STATE><TYPE>{type}</TYPE><TEMPLATE>{template}</TEMPLATE></MARKETPLACEAPP>"
)


def _app(
    source: str = "http://x/1",
    md5: str = "",
    image: str = "",
    template: str = "",
    type_number: int = 1,
    state: int = 1,
) -> str:
    return _APP.format(source=source, md5=md5, image=image, template=template, type=type_number, state=state)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class _Willing(FakeCloud):
    """A cloud that does whatever it is asked and answers with 7, but for what is `refused`."""

    def __init__(self, answers: dict[object, Answer]) -> None:
        super().__init__(answers)
        self.refused: dict[str, OneError] = {}

    def _answer(self, call: Call) -> Answer:  # type: ignore[override]
        if call.method in self.refused:
            return self.refused[call.method]
        answer = super()._answer(call)
        return 7 if isinstance(answer, Exception) else answer


def _cloud(**answers: Answer) -> _Willing:
    pools: dict[object, Answer] = {
        "one.grouppool.info": "<GROUP_POOL><GROUP><ID>100</ID><NAME>web</NAME></GROUP></GROUP_POOL>",
        "one.zonepool.info": recorded("zone-pool"),
        "one.clusterpool.info": recorded("cluster-pool"),
        "one.vdcpool.info": f"<VDC_POOL>{recorded('vdc')}</VDC_POOL>",
        "one.vmpool.showback": recorded("showback"),
        "one.hooklog.info": "<HOOKLOG/>",
        "one.marketapp.info": _app(),
        "one.template.info": "<VMTEMPLATE><TEMPLATE/></VMTEMPLATE>",
    }
    return _Willing(pools | {f"one.{k.replace('_', '.')}": v for k, v in answers.items()})


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("onevntemplate create -", ("one.vntemplate.allocate", ("A=1",))),
        ("onevntemplate clone 0 copy", ("one.vntemplate.clone", (0, "copy"))),
        ("onevntemplate delete 3", ("one.vntemplate.delete", (3,))),
        ("onevntemplate instantiate 0 -n blue", ("one.vntemplate.instantiate", (0, "blue", ""))),
        ("onevntemplate lock 0 --all", ("one.vntemplate.lock", (0, 4))),
        ("onevntemplate chmod 0 600", ("one.vntemplate.chmod", (0, 1, 1, 0, 0, 0, 0, 0, 0, 0))),
        ("onevrouter create -", ("one.vrouter.allocate", ("A=1",))),
        ("onevrouter instantiate 0 4", ("one.vrouter.instantiate", (0, 1, 4, "", False, ""))),
        (
            "onevrouter instantiate 0 4 -m 2 --name r-%i --hold --cpu 1",
            ("one.vrouter.instantiate", (0, 2, 4, "r-%i", True, 'CPU="1"\n')),
        ),
        ("onevrouter nic-detach 0 2", ("one.vrouter.detachnic", (0, 2))),
        ("onevrouter nic-attach 0 -f -", ("one.vrouter.attachnic", (0, "A=1"))),
        ("onevmgroup create -", ("one.vmgroup.allocate", ("A=1",))),
        ("onevmgroup rename 0 tier", ("one.vmgroup.rename", (0, "tier"))),
        ("onevdc create lab", ("one.vdc.allocate", ('NAME="lab"\n',))),
        ("onevdc addgroup lab web", ("one.vdc.addgroup", (100, 100))),
        ("onevdc delgroup 100 web", ("one.vdc.delgroup", (100, 100))),
        ("onevdc addcluster 100 0 0", ("one.vdc.addcluster", (100, 0, 0))),
        ("onevdc addcluster lab OpenNebula default", ("one.vdc.addcluster", (100, 0, 0))),
        ("onevdc delhost 100 0 ALL", ("one.vdc.delhost", (100, 0, -10))),
        ("onevdc addvnet 100 0 all", ("one.vdc.addvnet", (100, 0, -10))),
        ("onevdc deldatastore 100 0 2", ("one.vdc.deldatastore", (100, 0, 2))),
        ("onehook create -", ("one.hook.allocate", ("A=1",))),
        ("onehook retry 0 12", ("one.hook.retry", (0, 12))),
        ("onehook log", ("one.hooklog.info", (-1, -1, -1, 0))),
        ("onehook log --error --hook-id 3", ("one.hooklog.info", (-1, -1, 3, -1))),
        (
            "onehook log --success --since 1500000000 --until 1600000000",
            ("one.hooklog.info", (1500000000, 1600000000, -1, 1)),
        ),
        ("onemarket create -", ("one.market.allocate", ("A=1",))),
        ("onemarket update 100 - -a", ("one.market.update", (100, "A=1", 1))),
        ("onemarketapp create - -m 100", ("one.marketapp.allocate", ("A=1", 100))),
        (
            "onemarketapp create --name d --image 5 -m 100",
            ("one.marketapp.allocate", ('NAME="d"\nORIGIN_ID="5"\nTYPE="image"\n', 100)),
        ),
        ("onemarketapp enable 1", ("one.marketapp.enable", (1, True))),
        ("onemarketapp disable 1", ("one.marketapp.enable", (1, False))),
        ("oneshowback list", ("one.vmpool.showback", (-2, -1, -1, -1, -1))),
        (
            "oneshowback list -u 3 -s 02/2026 -e 11/2026",
            ("one.vmpool.showback", (3, 2, 2026, 11, 2026)),
        ),
        ("oneshowback calculate", ("one.vmpool.calculateshowback", (-1, -1, -1, -1))),
        ("oneshowback calculate -s 2026-03-05", ("one.vmpool.calculateshowback", (3, 2026, -1, -1))),
        ("onehost sync", ("one.hostpool.info", ())),
    ],
)  # fmt: skip
def test_a_command_is_one_call(line: str, call: Call) -> None:
    cloud = _cloud(hostpool_info="<HOST_POOL/>")
    outcome = command(line, cloud, Screen(stdin="A=1"))
    assert (outcome.err, outcome.code) == ("", 0)
    assert cloud.calls[-1] == call


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("onevrouter nic-attach 0", "--network or --file must be given"),
        ("onevntemplate instantiate 0 --ip 10.0.0.1", "--size or a template file must be given"),
        ("onehook log --error --success", "Only one of --error and --success"),
        ("onehook log --since soon", "'soon' is no time"),
        ("onemarketapp create --name x", "--marketplace must be given"),
        ("onemarketapp create -m 100", "A template file or options"),
        ("onemarketapp export 40 x", "--datastore must be given"),
        ("onevdc addcluster lab 0 nosuch", "CLUSTER named nosuch not found."),
        ("oneshowback list --start 13/2026", "'13/2026' is no time"),
        ("onevmgroup show nosuch", "VM_GROUP named nosuch not found."),
        ("onemarketapp show nosuch", "MARKETPLACEAPP named nosuch not found."),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(line: str, message: str) -> None:
    cloud = _cloud(vmgrouppool_info="<VM_GROUP_POOL/>", marketapppool_info="<MARKETPLACEAPP_POOL/>")
    outcome = command(line, cloud)
    assert (outcome.code, outcome.out) == (255, "")
    assert outcome.err.startswith(message)
    assert all(c.method.endswith(".info") for c in cloud.calls)


@pytest.mark.parametrize("tool", ["onevntemplate", "onehook"])
def test_dry_prints_and_sends_nothing(tool: str) -> None:
    cloud = FakeCloud()
    assert command(f"{tool} create - --dry", cloud, Screen(stdin="A=1\n")) == Outcome(0, "A=1\n", "")
    assert not cloud.calls


def test_a_network_gets_a_range_and_a_name_of_its_own() -> None:
    cloud = _cloud()
    line = "onevntemplate instantiate 0 - --ip 10.2.0.10 --size 50"
    assert command(line, cloud, Screen(stdin='NAME="blue" VLAN_ID=7')).out == "VN ID: 7\n"
    _, (oid, name, text) = cloud.calls[-1]
    assert (oid, name) == (0, "blue")
    expected = Template.parse('VLAN_ID="7" AR=[SIZE="50", IP="10.2.0.10", TYPE="IP4"]')
    assert Template.parse(str(text)) == expected


def test_several_networks_are_numbered_in_their_names() -> None:
    cloud = _cloud()
    out = command("onevntemplate instantiate 0 --name n-%i --multiple 2", cloud).out
    assert out == "VN ID: 7\nVN ID: 7\n"
    assert [c.arguments[1] for c in cloud.calls] == ["n-0", "n-1"]


def test_the_template_of_a_router_gets_its_answers() -> None:
    cloud = _cloud(template_info=recorded("template"))
    assert command("onevrouter instantiate 0 4 --user-inputs SIZE=2", cloud).out == ""
    assert cloud.calls[-1].arguments[5] == 'SIZE="2"\n'


def test_an_interface_of_a_router_may_float() -> None:
    cloud = _cloud()
    command("onevrouter nic-attach 0 -n private --ip 10.0.0.9 --float", cloud)
    nic = Template.parse(str(cloud.calls[-1].arguments[1])).vector("NIC")
    assert nic == {"NETWORK": "private", "IP": "10.0.0.9", "FLOATING_IP": "YES"}


# --- pages and lists ---


def test_a_router_shows_its_floating_addresses() -> None:
    router = recorded("vrouter").replace("<VMS/>", "<VMS><ID>4</ID></VMS>")
    out = command("onevrouter show 0", FakeCloud({"one.vrouter.info": router})).out
    assert out.startswith("VIRTUAL ROUTER 0 INFORMATION")
    assert (
        " ID NETWORK              MANAGEMENT IP             \n  0 private              NO         10.1.0.17\n"
        in out
    )
    assert "NIC=[" not in out
    assert out.endswith("VIRTUAL MACHINES\n4              \n")
    assert "NIC=[" in command("onevrouter show 0 --all", FakeCloud({"one.vrouter.info": router})).out


def test_a_vdc_shows_all_for_all() -> None:
    vdc = recorded("vdc").replace("<CLUSTER_ID>0<", "<CLUSTER_ID>-10<")
    out = command("onevdc show 100", FakeCloud({"one.vdc.info": vdc})).out
    assert "   ZONE   CLUSTER\n      0       ALL\n" in out


def test_a_zone_with_servers_shows_how_far_each_is() -> None:
    zone = (
        "<ZONE><ID>0</ID><NAME>OpenNebula</NAME><TEMPLATE/><SERVER_POOL>"
        "<SERVER><ID>0</ID><NAME>one</NAME><ENDPOINT>http://localhost:2733/RPC2</ENDPOINT></SERVER>"
        "<SERVER><ID>1</ID><NAME>two</NAME><ENDPOINT>http://127.0.0.1:1/RPC2</ENDPOINT></SERVER>"
        "</SERVER_POOL></ZONE>"
    )
    cloud = FakeCloud({"one.zone.info": zone, "one.zone.raftstatus": recorded("raftstatus")})
    lines = [line.split() for line in command("onezone show 0", cloud).out.splitlines()]
    assert ["0", "one", "solo", "0", "-1", "0", "-1", "-1"] in lines
    assert ["1", "two", "error", "-", "-", "-", "-", "-"] in lines


_RECORD = (
    "<HOOK_EXECUTION_RECORD><HOOK_ID>3</HOOK_ID><EXECUTION_ID>{}</EXECUTION_ID><TIMESTAMP>1795226174</TIMESTAMP>"
    "<ARGUMENTS>{} plain</ARGUMENTS><EXECUTION_RESULT><COMMAND>/x/ft.sh</COMMAND><STDOUT>{}</STDOUT><STDERR/>"
    "<CODE>{}</CODE></EXECUTION_RESULT></HOOK_EXECUTION_RECORD>"
)


def _records() -> str:
    first = _RECORD.format(0, _base64("<VM/>"), _base64("done\n"), 0)
    return first + _RECORD.format(1, _base64("<VM/>"), _base64("no\n"), 127)


def test_the_log_of_hooks_says_which_failed() -> None:
    cloud = FakeCloud({"one.hooklog.info": f"<HOOKLOG>{_records()}</HOOKLOG>"})
    lines = command("onehook log", cloud).out.splitlines()
    assert lines[0].split() == ["HOOK", "ID", "TIMESTAMP", "RC", "EXECUTION"]
    assert lines[1].split()[0:2] + lines[1].split()[4:] == ["3", "0", "0", "SUCCESS"]
    assert lines[2].split()[-2:] == ["127", "ERROR"]


def test_an_execution_of_a_hook_is_shown_decoded() -> None:
    hook = recorded("hook-state").replace("<HOOKLOG/>", f"<HOOKLOG>{_records()}</HOOKLOG>")
    cloud = FakeCloud({"one.hook.info": hook})
    out = command("onehook show 0 --execution 1", cloud).out
    assert "ARGUMENTS         : <VM/> plain" in out
    assert "EXIT CODE         : 127 " in out
    assert f"{'EXECUTION STDOUT':<80}\nno\n" in out
    assert "EXECUTION LOG" in command("onehook show 0", cloud).out
    missing = command("onehook show 0 -e 9", cloud)
    assert (missing.code, missing.err) == (255, "Hook 0 has no record of an execution 9.\n")


def test_a_market_shows_what_it_holds() -> None:
    market = recorded("market").replace(
        "<MARKETPLACEAPPS/>", "<MARKETPLACEAPPS><ID>40</ID></MARKETPLACEAPPS>"
    )
    out = command("onemarket show 100", FakeCloud({"one.market.info": market})).out
    assert out.startswith("MARKETPLACE 100 INFORMATION")
    assert "TOTAL:         : 0M " in out
    assert out.endswith("MARKETAPPS     \n40             \n")


def test_an_app_shows_its_details_and_its_template() -> None:
    app = _app(image=_base64('DEV_PREFIX="vd"\n'), state=2)
    out = command("onemarketapp show 40", FakeCloud({"one.marketapp.info": app})).out
    for line in (
        "TYPE           : IMAGE ",
        "STATE          : lck ",
        "SIZE           : 40M ",
        'DEV_PREFIX="vd"\n',
    ):
        assert line in out


def test_apps_are_listed_with_the_columns_of_5_12() -> None:
    cloud = FakeCloud({"one.marketapppool.info": f"<MARKETPLACEAPP_POOL>{_app()}</MARKETPLACEAPP_POOL>"})
    out = command("onemarketapp list --csv --no-header", cloud).out
    assert out.startswith("40,debian,1.0,40M,rdy,img,11/")
    assert out.endswith(",shelf,0\n")


def test_costs_can_be_filtered_by_group() -> None:
    cloud = _cloud()
    assert command("oneshowback list -g web --csv", cloud).out.count("\n") == 1
    cloud.answers["one.vmpool.showback"] = recorded("showback").replace("<GID>0<", "<GID>100<")
    assert command("oneshowback list -g web --csv --no-header", cloud).out.startswith(
        "oneadmin,oneadmin,0,web-1,"
    )


# --- apps: export and download ---


def test_an_export_makes_an_image_and_a_template() -> None:
    machine = _base64('CPU="1"\nDISK=[IMAGE="old"]\n')
    app = _app(image=_base64('DEV_PREFIX="vd"\n'), template=f"<VMTEMPLATE64>{machine}</VMTEMPLATE64>")
    cloud = _cloud(marketapp_info=app, image_allocate=21, template_allocate=4)
    outcome = command("onemarketapp export 40 copy -d 1 --vmname vm", cloud)
    assert outcome == Outcome(0, "IMAGE\n    ID: 21\nVMTEMPLATE\n    ID: 4\n", "")
    image, template = cloud.calls[-2:]
    assert image.arguments[1:] == (1, True)
    expected = 'DEV_PREFIX="vd" NAME="copy" FROM_APP="40"'
    assert Template.parse(str(image.arguments[0])) == Template.parse(expected)
    expected = 'CPU="1" DISK=[IMAGE="old"] DISK=[IMAGE_ID="21"] NAME="vm"'
    assert Template.parse(str(template.arguments[0])) == Template.parse(expected)


def test_an_app_without_a_template_exports_an_image_only() -> None:
    outcome = command("onemarketapp export 40 copy -d 1", _cloud())
    assert outcome.out == "IMAGE\n    ID: 7\nVMTEMPLATE\n    ID: -1\n"


def test_a_tag_is_passed_on() -> None:
    cloud = _cloud()
    command("onemarketapp export 40 copy -d 1 --tag 3.12", cloud)
    assert Template.parse(str(cloud.calls[-1].arguments[0])).get("URL_ARGS") == "tag=3.12"


def test_a_kernel_goes_into_a_datastore_for_files() -> None:
    kernel = _app(image=_base64("TYPE=KERNEL\n"))
    cloud = _cloud(marketapp_info=kernel, datastorepool_info=recorded("datastore-pool"))
    assert command("onemarketapp export 40 copy -d 1", cloud).code == 0
    assert cloud.calls[-1].arguments[1] == 2


_MACHINE = _app(
    type_number=2,
    image=_base64('CPU="1"\n'),
    template="<DISK><NAME>root</NAME><APP>debian</APP></DISK><DISK><NAME>again</NAME><APP>debian</APP></DISK>",
)


def test_an_app_of_a_machine_brings_the_apps_of_its_disks() -> None:
    pool = f"<MARKETPLACEAPP_POOL>{_app()}</MARKETPLACEAPP_POOL>"
    cloud = _cloud(marketapp_info=_MACHINE, marketapppool_info=pool, image_allocate=21, template_allocate=4)
    outcome = command("onemarketapp export 40 copy -d 1", cloud)
    assert outcome == Outcome(0, "IMAGE\n    ID: 21\nVMTEMPLATE\n    ID: 4\n", "")
    image, template = cloud.calls[-2:]
    assert Template.parse(str(image.arguments[0])).get("NAME") == "copy-root-0"
    expected = Template.parse('CPU="1" DISK=[IMAGE_ID="21"] NAME="copy"')
    assert Template.parse(str(template.arguments[0])) == expected


def test_an_export_that_fails_leaves_nothing_behind() -> None:
    pool = f"<MARKETPLACEAPP_POOL>{_app()}</MARKETPLACEAPP_POOL>"
    refusal = OneError(2048, "[one.template.allocate] no.")
    cloud = _cloud(marketapp_info=_MACHINE, marketapppool_info=pool)
    cloud.refused["one.template.allocate"] = refusal
    outcome = command("onemarketapp export 40 copy -d 1", cloud)
    assert (outcome.code, outcome.err) == (255, "[one.template.allocate] no.\n")
    assert cloud.calls[-1] == ("one.image.delete", (7,))


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (_app(type_number=3), "App 40 is neither an image nor a template of machines."),
        (_app(type_number=2), "Missing APPTEMPLATE64 for App 40"),
        (_app(state=2), "App is not READY"),
        (_app(image="%%%"), "APPTEMPLATE64 of app 40 is no template in base64"),
        (_app(template=f"<VMTEMPLATE64>{_base64('A = [')}</VMTEMPLATE64>"), "Parse error"),
    ],
    ids=["service", "no template", "not ready", "no base64", "wrong template"],
)
def test_what_cannot_be_exported_makes_nothing(app: str, message: str) -> None:
    cloud = _cloud(marketapp_info=app)
    outcome = command("onemarketapp export 40 copy -d 1", cloud)
    assert (outcome.code, outcome.out) == (255, "")
    assert outcome.err.startswith(message)
    assert [c.method for c in cloud.calls] == ["one.marketapp.info"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[str]:
    """A web server with one file, `app`, that holds b"content"."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app").write_bytes(b"content")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "shop"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Tests say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_download_is_checked_and_never_half_a_file(shop: str, tmp_path: Path) -> None:
    target = tmp_path / "here"
    digest = hashlib.md5(b"content").hexdigest()
    cloud = _cloud(marketapp_info=_app(f"{shop}/app", digest))
    line = f"onemarketapp download 40 {target}"
    assert command(line, cloud) == Outcome(0, "", "")
    assert target.read_bytes() == b"content"
    assert command(line, cloud).err == f"{target} exists; --force overwrites it.\n"
    assert command(f"{line} --force", cloud).code == 0


@pytest.mark.parametrize(
    ("path", "md5", "message"),
    [("/app", "0" * 32, "What came from "), ("/nosuch", "", "App 40 cannot be downloaded from ")],
)
def test_a_download_that_fails_leaves_no_file(
    shop: str, tmp_path: Path, path: str, md5: str, message: str
) -> None:
    cloud = _cloud(marketapp_info=_app(f"{shop}{path}", md5))
    outcome = command(f"onemarketapp download 40 {tmp_path / 'here'}", cloud)
    assert outcome.code == 255
    assert outcome.err.startswith(message)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shop"]


def test_only_the_web_is_downloaded_from(tmp_path: Path) -> None:
    cloud = _cloud(marketapp_info=_app("file:///etc/passwd"))
    outcome = command(f"onemarketapp download 40 {tmp_path / 'here'}", cloud)
    assert outcome.err.startswith("App 40 is at 'file:///etc/passwd', which cannot be downloaded")
