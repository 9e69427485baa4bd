"""Every sub-command, run on a sandbox: walks of lines as a person types them, with what they should answer.

A line may end in `<< text` (standard input) and in `=> pattern` (found in the output); `!>` names what a
refusal says instead. `wait NAME STATE` waits for a machine, `ready NAME` for an image.
"""

import io
import re
import shlex
import time
from collections.abc import Iterator

import pytest
from tests.cli.recorded import Outcome, Screen
from tests.compat.conftest import Sandbox

from merope.cli.main import TOOLS, load_tool, run
from merope.cli.parse import Invocation
from merope.cli.vm_recovery import state_of
from merope.client import Client

#: What a walk cannot do, and where it is done instead.
ELSEWHERE = {
    "oneuser login": "writes credentials of the person (tests/cli/test_admin_commands.py)",
    "oneuser token-create": "the same",
    "oneuser token-set": "the same",
    "oneuser token-delete": "needs a token of token-create",
    "oneuser key": "needs no cloud",
    "onezone set": "writes the endpoint of the person (tests/cli/test_admin_commands.py)",
    "onezone serversync": "there is one front end",
    "onemarketapp download": "needs a web server (tests/cli/test_more_kinds.py)",
    "onelog get": "needs no cloud (tests/cli/test_log_commands.py)",
    "onelog get-vm": "the same",
    "onehook retry": "needs an execution (tests/daemon/test_hooks.py)",
    "onevm tm-debug": "needs a transfer that failed (tests/daemon/test_tm_debug.py)",
    "onevnet free": "returns ranges of a reservation to drivers of addresses",
}

_SETUP = """
onehost create node1 -i dummy -v dummy => ID: 0
onehost create node2 -i dummy -v dummy => ID: 1
oneimage create --name disk --type DATABLOCK --size 16 -d default => ID: 0
ready disk
onevnet create - << NAME=net VN_MAD=dummy BRIDGE=br0 AR=[TYPE=IP4,IP=10.0.0.10,SIZE=50] => ID: 0
onetemplate create --name plain --cpu 1 --memory 64 --disk disk --nic net => ID: 0
oneuser create ann secret => ID: 2
onegroup create web => ID: 100
"""

WALKS = {
    "hosts": r"""
onehost list => node1 +default
onehost show node1 => STATE +: MONITORED
onehost disable node2
onehost show node2 => STATE +: DISABLED
onehost offline node2
onehost show 1 => STATE +: OFFLINE
onehost enable 1
onehost rename node2 second
onehost rename second node2
onehost update node2 - -a << RACK=7
onehost show node2 => RACK="7"
onehost forceupdate node2
onehost sync => All hosts updated successfully.
onehost flush node2
onehost enable node2
onehost recover node1 --migrate !> is heard: there is nothing to recover from
onehost recover node1 !> Exactly one of --migrate, --recreate, --delete
onehost monitoring node1 NOSUCH !> Nothing was measured of NOSUCH
onehost update node2 - -a << VM=[VM_NAME=wild,DEPLOY_ID=w-1,IMPORT_TEMPLATE="Q1BVPTEKTUVNT1JZPTY0Cg=="]
onehost show node2 => wild +w-1 +1 +64
onehost importvm node2 tame !> has no wild machine named tame
onehost importvm node2 wild => ID: \d
wait wild RUNNING
onevm show wild => DEPLOY ID +: w-1
onevm recover wild --delete-db
wait wild DONE
onehost create node3 --im dummy --vm dummy => ID: \d
onehost delete node3
onehost show node3 !> HOST named node3 not found.
onehost list -j => "NAME": "node1"
""",
    "clusters": r"""
onecluster create edge => ID: 100
onecluster addhost edge node2
onecluster addvnet edge net
onecluster adddatastore edge files
onecluster show edge => HOSTS +\n1
onecluster list --csv => 100,edge,1,1,1
onecluster delhost edge node2
onecluster delvnet edge net
onecluster deldatastore edge files
onecluster addvnet default net
onecluster addhost default node2
onecluster adddatastore default files
onecluster update edge - -a << A=1
onecluster rename edge rim
onecluster delete rim
""",
    "datastores": """
onedatastore create - << NAME=more TYPE=IMAGE_DS DS_MAD=dummy TM_MAD=dummy => ID: 100
onedatastore list => more
onedatastore show more => TYPE +: IMAGE
onedatastore chmod more 644
onedatastore chown more ann web
onedatastore chgrp more oneadmin
onedatastore update more - -a << LIMIT_MB=100
onedatastore show more => LIMIT: +: 100M
onedatastore disable system
onedatastore enable system
onedatastore rename more less
onedatastore delete less
""",
    "images": r"""
oneimage list => disk
oneimage clone disk copy => ID: \d
ready copy
oneimage persistent copy
oneimage nonpersistent copy
oneimage chtype copy OS
oneimage show copy => TYPE +: OS
oneimage disable copy
oneimage enable copy
oneimage chmod copy 640
oneimage chown copy ann
oneimage chgrp copy web
oneimage update copy - -a << A=1
oneimage rename copy copied
oneimage lock copied --admin
oneimage show copied => LOCK +: Admin
oneimage unlock copied
oneimage orphans => \d
oneimage delete copied
oneimage snapshot-delete disk 0 !> snapshot
oneimage snapshot-revert disk 0 !> snapshot
oneimage snapshot-flatten disk 0 !> snapshot
""",
    "networks": r"""
onevnet list => net
onevnet addar net --ip 10.9.0.10 --size 4
onevnet addleases net 10.8.0.1
onevnet show net --show-ar => 10.9.0.10 +10.9.0.13
onevnet hold net 10.9.0.11
onevnet show net => 10.9.0.11
onevnet release net 10.9.0.11
onevnet updatear net 1 - << AR=[AR_ID=1,SIZE=5]
onevnet show net => 10.9.0.10 +10.9.0.14
onevnet rmleases net 10.8.0.1
onevnet rmar net 1
onevnet reserve net -n mine -s 2 => ID: \d
onevnet reserve net mine -s 1
onevnet chmod mine 640
onevnet chown mine ann
onevnet chgrp mine web
onevnet update mine - -a << A=1
onevnet lock mine
onevnet unlock mine
onevnet rename mine yours
onevnet orphans => \d
onevnet delete yours
""",
    "network templates": r"""
onevntemplate create - << NAME=vlan VN_MAD=dummy BRIDGE=b0 => ID: 0
onevntemplate list => vlan
onevntemplate show vlan => BRIDGE="b0"
onevntemplate instantiate vlan --name blue --ip 10.3.0.10 --size 5 => VN ID: \d
onevnet delete blue
onevntemplate clone vlan other => ID: 1
onevntemplate chmod other 640
onevntemplate chown other ann
onevntemplate chgrp other web
onevntemplate lock other --manage
onevntemplate unlock other
onevntemplate update other - -a << B=2
onevntemplate rename other another
onevntemplate delete vlan,another
""",
    "security groups": """
onesecgroup create - << NAME=http RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,RANGE="80,443"] => ID: 100
onesecgroup list => http
onesecgroup show http => inbound +TCP
onesecgroup clone http https => ID: 101
onesecgroup chmod https 640
onesecgroup chown https ann
onesecgroup chgrp https web
onesecgroup update https - << RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,RANGE="443"]
onesecgroup commit https
onesecgroup commit https --recover
onesecgroup rename https tls
onesecgroup delete tls
""",
    "templates": r"""
onetemplate list => plain
onetemplate show plain --extended => MEMORY="64"
onetemplate clone plain fancy => ID: \d
onetemplate chmod fancy 640
onetemplate chown fancy ann
onetemplate chgrp fancy web
onetemplate update fancy - -a << DESCRIPTION="x"
onetemplate lock fancy
onetemplate unlock fancy
onetemplate rename fancy fancier
onetemplate instantiate fancier --name held --hold => VM ID: \d
onevm terminate held --hard
onetemplate delete fancier
""",
    "users": r"""
oneuser list => ann
oneuser show ann => GROUP +: users
oneuser passwd ann other
oneuser chauth ann public
oneuser addgroup ann web
oneuser delgroup ann web
oneuser chgrp ann web
oneuser chgrp ann users
oneuser umask ann 137
oneuser update ann - -a << PHONE=7
oneuser quota ann - << VM=[VMS=4,MEMORY=4096]
oneuser list --csv => 0 / +4
oneuser batchquota ann - << VM=[VMS=5]
oneuser defaultquota - << NETWORK=[ID=0,LEASES=20]
oneuser encode ann a:b => ann:a%3Ab
oneuser passwdsearch core nosuch => ID
oneuser token-delete-all ann
oneuser create bob - => ID: \d
oneuser delete bob
""",
    "groups": """
onegroup list => web
onegroup show web => NAME +: web
onegroup update web - -a << A=1
onegroup quota web - << VM=[VMS=9]
onegroup batchquota web - << VM=[VMS=8]
onegroup defaultquota - << VM=[CPU=100]
onegroup create ops --admin_user boss --admin_password x => ID: 101
onegroup addadmin ops ann !> not part of Group 101
onegroup deladmin ops boss
onegroup delete nosuch !> GROUP named nosuch not found.
oneuser delete boss
onegroup delete ops
""",
    "rules": r"""
oneacl create "@100 VM/* USE *" => ID: \d+
oneacl list -l ID,STRING => @100 VM/\* USE \*
oneacl delete 9999 !> \[one.acl.delrule\]
""",
    "virtual data centres": r"""
onevdc create lab => ID: 100
onevdc addgroup lab web
onevdc addcluster lab 0 ALL
onevdc addhost lab OpenNebula node1
onevdc addvnet lab 0 net
onevdc adddatastore lab 0 default
onevdc list --csv => 100,lab,1,ALL,1,1,1
onevdc show lab => CLUSTER\n +0 +ALL
onevdc delcluster lab 0 ALL
onevdc delhost lab 0 node1
onevdc delvnet lab 0 net
onevdc deldatastore lab 0 default
onevdc delgroup lab web
onevdc update lab - -a << A=1
onevdc rename lab laboratory
onevdc delete laboratory
""",
    "VM groups": """
onevmgroup create - << NAME=tier ROLE=[NAME=front,POLICY=ANTI_AFFINED] ROLE=[NAME=db] => ID: 0
onevmgroup list => front, db
onevmgroup show tier => front +ANTI_AFFINED
onevmgroup chmod tier 640
onevmgroup chown tier ann
onevmgroup chgrp tier web
onevmgroup update tier - -a << A=1
onevmgroup lock tier
onevmgroup unlock tier
onevmgroup rename tier tiers
onevmgroup delete tiers
""",
    "hooks": """
onehook create - << NAME=watch TYPE=api CALL=one.vm.allocate COMMAND=log.sh ARGUMENTS=$API => ID: 0
onehook list => watch +api
onehook show watch => CALL="one.vm.allocate"
onehook update watch - -a << ARGUMENTS_STDIN=YES
onehook lock watch
onehook unlock watch
onehook rename watch watcher
onehook log --error --since 2026-01-01
onehook delete watcher
""",
    "markets": r"""
onemarket create - << NAME=shelf MARKET_MAD=http BASE_URL="http://localhost/" PUBLIC_DIR=/tmp => ID: 100
onemarket list => shelf
onemarket show shelf => MARKET_MAD +: http
onemarket chmod shelf 644
onemarket chown shelf ann
onemarket chgrp shelf web
onemarket update shelf - -a << DESCRIPTION="x"
onemarket rename shelf stand
onemarketapp create --name app --image disk -m stand => ID: \d
wait-app app
onemarketapp list => app
onemarketapp show app => MARKETPLACE +: stand
onemarketapp disable app
onemarketapp enable app
onemarketapp chmod app 644
onemarketapp chown app ann
onemarketapp chgrp app web
onemarketapp update app - -a << DESCRIPTION="y"
onemarketapp lock app
onemarketapp unlock app
onemarketapp rename app apps
onemarketapp export apps exported -d default => IMAGE\n    ID: \d
onemarketapp delete apps
onemarket delete stand
oneimage delete exported
""",
    "virtual routers": r"""
onevrouter create - << NAME=edge NIC=[NETWORK=net] => ID: 0
onetemplate create --name router --cpu 1 --memory 64 --raw VROUTER=YES => ID: \d
onevrouter list => edge
onevrouter instantiate edge router --name r-%i -m 2
wait r-0 RUNNING
wait r-1 RUNNING
onevrouter show edge => VIRTUAL MACHINES\n\d
onevrouter nic-attach edge -n net --float
wait r-0 RUNNING
wait r-1 RUNNING
onevrouter nic-detach edge 1
wait r-0 RUNNING
wait r-1 RUNNING
onevrouter chmod edge 640
onevrouter chown edge ann
onevrouter chgrp edge web
onevrouter update edge - -a << A=1
onevrouter lock edge
onevrouter unlock edge
onevrouter rename edge rim
onevrouter delete rim
""",
    "zones": r"""
onezone list => OpenNebula
onezone show 0 => ENDPOINT=
onezone update 0 - -a << A=1
onezone rename 0 here
onezone rename 0 OpenNebula
onezone create - << NAME=far ENDPOINT="http://x/RPC2" !> \[one.zone.allocate\]
onezone delete 0 !> \[one.zone.delete\]
onezone server-add 0 -n one -r http://127.0.0.1:1/RPC2 => ^$
onezone show 0 => one +error
onezone server-reset 0 0
onezone server-del 0 0
""",
    "mistakes": r"""
onevm show 99 !> ^\[one.vm.info\] Error getting virtual machine \[99\].$
onevm create --name x !> ^\[one.vm.allocate\] MEMORY attribute must be a positive integer value.$
onevm terminate 97..99 !> ^\[one.vm.action\] Error getting virtual machine \[97\].\n(.*\n){2}$
onevm poweroff nosuch !> ^VM named nosuch not found.$
oneuser create ann x !> ^\[one.user.allocate\] NAME is already taken by USER 2.$
onevm list --user ann --password bad !> ^\[one.vmpool.info\] User couldn't be authenticated, aborting call.$
onevm nosuchcommand !> ^Command 'nosuchcommand' not found$
onevm chmod 0 abc !> octal digits
""",
    "the life of a machine": r"""
onevm create --name web --cpu 1 --memory 64 --disk disk --nic net --hold => ID: \d
onevm show web => STATE +: HOLD
onevm explain web => does not wait for a host: its state is HOLD
onevm release web
wait web RUNNING
onevm list => web +runn
onevm list --search NAME=web --csv --no-header -l NAME => ^web\n$
onevm list --search NAME=nosuch --no-header => ^$
onevm poweroff web
wait web POWEROFF
onevm resume web
wait web RUNNING
onevm reboot web
onevm suspend web
wait web SUSPENDED
onevm resume web
wait web RUNNING
onevm stop web
wait web STOPPED
onevm deploy web node1
wait web RUNNING
onevm undeploy web
wait web UNDEPLOYED
onevm deploy web node1
wait web RUNNING
onevm migrate web node2 --live
wait web RUNNING
onevm migrate web node1
wait web RUNNING
onehost disable node2
onevm resched web
onevm show web => RESCHED +: Yes
onevm unresched web
onehost enable node2
onevm rename web site
onevm rename site web
onevm chmod web 640
onevm chown web ann
onevm chgrp web oneadmin
onevm update web - -a << A=1
onevm lock web
onevm show web => LOCK +: Use
onevm unlock web
onevm recover web --success
onevm poweroff web --schedule +3600 --weekly 1,5 --end 10 => scheduled at \+3600
onevm show web => poweroff .*Weekly 1,5
onevm create --name kept --cpu 1 --memory 64 --hold
onevm hold kept !> \[one.vm.action\]
onevm terminate kept,web
wait web DONE
""",
    "disks, interfaces and snapshots of a machine": r"""
onetemplate instantiate plain --name box
wait box RUNNING
onevm disk-attach box --image disk
wait box RUNNING
onevm nic-attach box --network net
wait box RUNNING
onevm nic-attach box --network net --alias NIC0
wait box RUNNING
onevm show box => VM ALIAS
onevm snapshot-create box before
wait box RUNNING
onevm show box => before
onevm snapshot-revert box before
wait box RUNNING
onevm snapshot-delete box 0
wait box RUNNING
onevm nic-detach box 2
wait box RUNNING
onevm nic-detach box NIC1
wait box RUNNING
onevm disk-detach box 1
wait box RUNNING
onevm disk-saveas box 0 saved => ID: \d
wait box RUNNING
onevm poweroff box --hard
wait box POWEROFF
onevm disk-resize box 0 32
wait box POWEROFF
onevm show box => -/32M
onevm disk-snapshot-create box 0 clean
wait box POWEROFF
onevm disk-snapshot-rename box 0 0 pure
onevm show box => VM DISK SNAPSHOTS(.|\n)*pure
onevm disk-snapshot-revert box 0 0
wait box POWEROFF
onevm disk-snapshot-create box 0 second
wait box POWEROFF
onevm disk-snapshot-delete box 0 0 !> children
onevm disk-snapshot-revert box 0 0
wait box POWEROFF
onevm disk-snapshot-delete box sda second
wait box POWEROFF
onevm resize box --memory 128
wait box POWEROFF
onevm updateconf box - << OS=[BOOT=disk0]
onevm save box boxed => ID: \d
onetemplate show boxed => MEMORY="128"
onetemplate show boxed => DISK=\[\n  IMAGE_ID="\d+" \]
ready boxed-disk-0
onetemplate instantiate boxed --name again
wait again RUNNING
onevm terminate again --hard
wait again DONE
onetemplate delete boxed --recursive
onevm terminate box
wait box DONE
oneacct => disk-attach
oneshowback calculate
oneshowback list
""",
}


class Walker:
    """A person who types lines, as oneadmin where a line doesn't say otherwise."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.client = Client(sandbox.endpoint, sandbox.auth)

    def walk(self, lines: str) -> None:
        for line in lines.strip().splitlines():
            word, _, rest = line.partition(" ")
            match word:
                case "wait":
                    self._wait(*rest.split())
                case "ready":
                    self._ready("image", rest)
                case "wait-app":
                    self._ready("marketapp", rest)
                case _:
                    self._type(line)

    def run(self, line: str, stdin: str = "") -> Outcome:
        words = shlex.split(line)
        screen = Screen(stdin)

        def connect(asked: Invocation) -> Client:
            auth = ":".join(str(asked.options[o]) for o in ("user", "password") if o in asked.options)
            return Client(self._sandbox.endpoint, auth or self._sandbox.auth)

        code = run(words[0], words[1:], screen, connect)
        assert isinstance(screen.out, io.StringIO)
        assert isinstance(screen.err, io.StringIO)
        return Outcome(code, screen.out.getvalue(), screen.err.getvalue())

    def _type(self, line: str) -> None:
        refused = " !> " in line
        typed, _, pattern = line.partition(" !> " if refused else " => ")
        typed, _, stdin = typed.partition(" << ")
        outcome = self.run(typed, stdin)
        if refused:
            assert outcome.code == 255, line
            assert re.search(pattern, outcome.err, re.MULTILINE), f"{line}: {outcome.err}"
        else:
            assert (outcome.code, outcome.err) == (0, ""), line
            assert re.search(pattern, outcome.out), f"{line}: {outcome.out}"

    def _wait(self, name: str, state: str) -> None:
        oid = self._newest("vm", name)
        _until(lambda: state_of(self.client.info("vm", oid)), state, f"VM {name}")

    def _ready(self, kind: str, name: str) -> None:
        oid = self._newest(kind, name)
        _until(lambda: self.client.info(kind, oid).findtext("STATE", ""), "1", f"{kind} {name}")

    def _newest(self, kind: str, name: str) -> int:
        everything = -2
        pool = self.client.pool(kind, state=everything)
        return max(int(e.findtext("ID", "-1")) for e in pool if e.findtext("NAME") == name)


def _until(look: object, wanted: str, what: str) -> None:
    assert callable(look)
    end = time.monotonic() + 20
    while (seen := look()) != wanted:
        assert time.monotonic() < end, f"{what} is {seen}, not {wanted}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def walker(sandbox: Sandbox) -> Iterator[Walker]:
    person = Walker(sandbox)
    person.walk(_SETUP)
    yield person
    person.client.close()


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_goes_as_a_person_expects(walker: Walker, name: str) -> None:
    walker.walk(WALKS[name])


def test_every_sub_command_is_walked() -> None:
    lines = "\n".join((_SETUP, *WALKS.values())).splitlines()
    walked = {" ".join(line.split()[:2]) for line in lines}
    # Those of OneFlow are walked where it runs (tests/flow/test_commands.py).
    tools = [tool for tool in TOOLS if not tool.startswith("oneflow")]
    declared = {f"{tool} {c.name}" for tool in tools for c in load_tool(tool).commands}
    # A top repeats until it is interrupted (tests/cli/test_command_line.py).
    missing = {c for c in declared - walked if not c.endswith(" top")}
    assert missing <= ELSEWHERE.keys()
    assert not ELSEWHERE.keys() & walked
