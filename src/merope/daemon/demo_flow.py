"""A service of real machines that grows, shrinks and heals: `python -m merope.daemon.demo_flow`.

A front end and workers on the cloud of `make cloud`, with a network of their own. Load in a worker, reported
by its guest through OneGate, adds another worker; when it is over, one goes. A worker whose QEMU is ended is
noticed and started again. In the end the service is removed with its network.
"""

import argparse
import base64
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from merope.client import Client, ClientError
from merope.client.rest import RestClient
from merope.daemon import demo
from merope.daemon.demo import Progress
from merope.daemon.demo_objects import DemoError
from merope.daemon.layout import Layout, UnsafeError, default_home
from merope.daemon.start import StartError, Wanted, last_options
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.libvirt import LibvirtHypervisor
from merope.drivers.hypervisor.libvirt_settings import KvmSettings
from merope.model.template import Template, Vector

_NAME = "demo-flow"
_STATES = ("PENDING", "DEPLOYING", "RUNNING", "UNDEPLOYING", "WARNING", "DONE", "FAILED_UNDEPLOYING",
           "FAILED_DEPLOYING", "SCALING", "FAILED_SCALING", "COOLDOWN")  # fmt: skip
_FAILED = ("FAILED_DEPLOYING", "FAILED_SCALING", "FAILED_UNDEPLOYING")
#: Seconds until something that should happen has happened, on a machine that others use too.
_PATIENCE = 120.0
_BURN_SECONDS = 20

#: In the guest: LOAD is the share of its CPU that is in use, told every two seconds.
_SCRIPT = r"""
cat >/www/cgi-bin/burn <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\nburning\n'
(timeout SECONDS sh -c 'while :; do :; done') </dev/null >/dev/null 2>&1 &
END
chmod 755 /www/cgi-bin/burn
(
    set -- 0 0
    while sleep 2; do
        busy=$1 all=$2
        set -- $(awk '/^cpu / { print $2 + $3 + $4 + $7 + $8, $2 + $3 + $4 + $5 + $6 + $7 + $8 }' /proc/stat)
        [ $(($2 - all)) -gt 0 ] &&
            /sbin/onegate vm update --data "LOAD=$((100 * ($1 - busy) / ($2 - all)))" >/dev/null
    done
) </dev/null >/dev/null 2>&1 &
""".replace("SECONDS", str(_BURN_SECONDS))


def _service_template(template: int, network: int, vntemplate: int, private: str) -> dict[str, Any]:
    nics = f'NIC=[NETWORK_ID="{network}",MODEL="virtio"]\nNIC=[NETWORK_ID="$Private",MODEL="virtio"]'
    role = {"vm_template": template, "vm_template_contents": nics, "shutdown_action": "terminate"}
    policy = {"type": "CHANGE", "period": 3, "period_number": 2, "cooldown": 5}
    return {
        "name": _NAME,
        "deployment": "straight",
        "ready_status_gate": True,
        "networks": {"Private": "M|network|between the machines"},
        "networks_values": [{"Private": {"template_id": str(vntemplate), "extra": private}}],
        "roles": [
            {**role, "name": "front", "cardinality": 1},
            {
                **role,
                "name": "worker",
                "cardinality": 1,
                "parents": ["front"],
                "min_vms": 1,
                "max_vms": 2,
                "elasticity_policies": [
                    {**policy, "expression": "LOAD > 60", "adjust": 1},
                    {**policy, "expression": "LOAD < 30", "adjust": -1},
                ],
            },
        ],
    }


class Story:
    """The demonstration, told as it goes. Raises DemoError and ClientError."""

    def __init__(self, client: Client, flow: RestClient, say: Progress) -> None:
        self._client = client
        self._flow = flow
        self._say = say
        self._told = 0

    def begin(self, template: int, network: int, vntemplate: int, private: str) -> int:
        body = _service_template(template, network, vntemplate, private)
        made = self._flow.ask("POST", "/service_template", body)["DOCUMENT"]["ID"]
        action = {"action": {"perform": "instantiate"}}
        oid = int(self._flow.ask("POST", f"/service_template/{made}/action", action)["DOCUMENT"]["ID"])
        self._flow.ask("DELETE", f"/service_template/{made}")
        self._say(f"service {oid}: a front end, and a worker when the front end has said that it is ready")
        return oid

    def body(self, oid: int) -> dict[str, Any]:
        """The service as it is; tells what its log has to say that is new."""
        body: dict[str, Any] = self._flow.ask("GET", f"/service/{oid}")["DOCUMENT"]["TEMPLATE"]["BODY"]
        log = body.get("log", [])
        for entry in log[self._told :]:
            self._say(f"  {entry['message']}")
        self._told = len(log)
        return body

    def until(self, oid: int, what: str, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while True:
            body = self.body(oid)
            if good(body):
                return body
            state = _STATES[body["state"]]
            if state in _FAILED:
                why = next((role["failure"] for role in body["roles"] if role.get("failure")), "")
                raise DemoError(f"service {oid} is in {state}: {body.get('failure') or why}")
            if time.monotonic() > deadline:
                raise DemoError(f"waited {_PATIENCE:.0f} s in vain until {what}; service {oid} is in {state}")
            time.sleep(0.2)

    def workers(self, body: dict[str, Any]) -> list[Element]:
        (role,) = (role for role in body["roles"] if role["name"] == "worker")
        return [self._client.info("vm", node["deploy_id"]) for node in role["nodes"]]

    def show_network(self, oid: int) -> int:
        (value,) = self.body(oid)["networks_values"][0].values()
        vnet = self._client.info("vnet", int(value["id"]))
        self._say(f"network {value['id']} '{vnet.findtext('NAME')}' was made on {vnet.findtext('BRIDGE')}")
        return int(value["id"])

    def apply_load(self, body: dict[str, Any]) -> None:
        worker = self.workers(body)[0]
        address = worker.findtext("TEMPLATE/NIC/IP", "")
        url = f"http://{address}/cgi-bin/burn"
        urllib.request.urlopen(url, timeout=20).read()
        self._say(f"load is applied inside VM {worker.findtext('ID')} ({url}) for {_BURN_SECONDS} s")

    def recover(self, oid: int) -> None:
        self._flow.ask("POST", f"/service/{oid}/action", {"action": {"perform": "recover"}})
        self._say("the service is asked to recover")

    def end(self, oid: int, vnet: int) -> None:
        self._flow.ask("DELETE", f"/service/{oid}")
        self.until(oid, "the service has ended", lambda body: _STATES[body["state"]] == "DONE")
        if any(element.findtext("ID") == str(vnet) for element in self._client.pool("vnet")):
            raise DemoError(f"network {vnet} is still there")
        self._say(f"the service's machines and network {vnet} are gone")
        self._flow.ask("DELETE", f"/service/{oid}")


def run(layout: Layout, wanted: Wanted, say: Progress) -> None:
    """Raises DemoError, DriverError, StartError, UnsafeError or ClientError: each is a sentence."""
    base = demo.base(layout, wanted, say)
    options = last_options(layout)
    if options is None or min(options.oneflow_port, options.onegate_port) <= 0:
        raise DemoError("OneFlow or OneGate does not run in this cloud: see 'one status' and their logs")
    with demo.client_of(layout) as client:
        template = _vm_template(client, base.image)
        vntemplate = _network_template(client)
        story = Story(client, RestClient(f"http://127.0.0.1:{options.oneflow_port}", layout.login()), say)
        _until_answers(options.oneflow_port)
        private = f"AR=[TYPE=IP4,IP={base.gateway + (1 << 8)},SIZE=20]"
        oid = story.begin(template, base.network, vntemplate, private)
        _tell(story, oid, base.uri, say)
    print(f"\nShown in {say.seconds:.0f} s. The cloud is left running: make stop ends it.", flush=True)


def _tell(story: Story, oid: int, uri: str, say: Progress) -> None:
    def runs(body: dict[str, Any]) -> bool:
        return _STATES[body["state"]] == "RUNNING"

    def has(count: int) -> Callable[[dict[str, Any]], bool]:
        return lambda body: runs(body) and body["roles"][1]["cardinality"] == count

    body = story.until(oid, "all run", runs)
    vnet = story.show_network(oid)
    story.apply_load(body)
    story.until(oid, "a worker has been added", has(2))
    say("the load is over, or will be soon: a worker is to go")
    body = story.until(oid, "a worker has gone", has(1))
    (worker,) = story.workers(body)
    hypervisor = LibvirtHypervisor(KvmSettings(uri=uri))
    hypervisor.cancel(worker.findtext("DEPLOY_ID", ""))
    hypervisor.close()
    say(f"the QEMU of VM {worker.findtext('ID')} was ended behind the cloud's back")
    story.until(oid, "that is noticed", lambda body: _STATES[body["state"]] == "WARNING")
    story.recover(oid)
    story.until(oid, "the worker is back", runs)
    story.end(oid, vnet)


def _vm_template(client: Client, image: int) -> int:
    for element in client.pool("template"):
        if element.findtext("NAME") == _NAME:
            return int(element.findtext("ID", "-1"))
    script = base64.b64encode(_SCRIPT.encode()).decode()
    description = Template(
        [
            ("NAME", _NAME),
            ("CPU", "0.3"),
            ("VCPU", "1"),
            ("MEMORY", "96"),
            ("DISK", Vector({"IMAGE_ID": str(image)})),
            (
                "CONTEXT",
                Vector(
                    {
                        "NETWORK": "YES",
                        "TOKEN": "YES",
                        "REPORT_READY": "YES",
                        "SET_HOSTNAME": "$NAME",
                        "START_SCRIPT_BASE64": script,
                    }
                ),
            ),
        ]
    )
    return client.number("one.template.allocate", description.to_text())


def _network_template(client: Client) -> int:
    for element in client.pool("vntemplate"):
        if element.findtext("NAME") == _NAME:
            return int(element.findtext("ID", "-1"))
    description = Template([("NAME", _NAME), ("VN_MAD", "bridge")])
    return client.number("one.vntemplate.allocate", description.to_text())


def _until_answers(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise DemoError(f"OneFlow is not well at port {port}: {error}") from error
        time.sleep(0.1)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo-flow", description=__doc__)
    parser.add_argument("--home", type=Path, help="directory of the cloud (default: ./var)")
    for name in ("port", "oneflow-port", "onegate-port"):
        parser.add_argument(f"--{name}", type=int, help="as of `one start`")
    given = parser.parse_args(words)
    layout, say = Layout.at(given.home or default_home()), Progress()
    wanted = Wanted(port=given.port, oneflow_port=given.oneflow_port, onegate_port=given.onegate_port)
    try:
        run(layout, wanted, say)
    except (DemoError, DriverError, StartError, UnsafeError, ClientError) as error:
        print(f"demo-flow: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo-flow: interrupted; make stop ends the machines", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
