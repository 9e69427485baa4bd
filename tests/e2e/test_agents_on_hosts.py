"""Agents on hosts over SSH: they arrive, tell the truth, come back, and believe nobody else."""

import base64
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.e2e.cloud import BedCloud
from tests.monitor.agents import FakeAgent
from tests.real.machine import eventually
from tests.testbed.bed import Bed
from tests.testbed.host import BedHost

from merope.model.states import HostState
from merope.model.template import Template

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]
SILENCE = 6
DOMAIN = """<domain type='qemu'><name>stray</name><memory unit='KiB'>65536</memory><vcpu>2</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices/></domain>"""


class AgentCloud(BedCloud):
    """Hosts of the bed, encrypted messages, short intervals."""

    def configure(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        plain = serialization.NoEncryption()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain
        )
        keys = self.home / "remotes/keys"
        keys.mkdir(parents=True)
        (keys / "key").write_bytes(private)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (keys / "key.pub").write_bytes(public)
        (self.home / "monitord.conf").write_text(
            f'NETWORK = [ PUBKEY = "{keys}/key.pub", PRIKEY = "{keys}/key", PORT = {self.monitor_port} ]\n'
            "PROBES_PERIOD = [ BEACON_HOST = 1, SYSTEM_HOST = 5, MONITOR_HOST = 1, STATE_VM = 1, "
            "MONITOR_VM = 1 ]\n"
            f"MONITORING_INTERVAL_HOST = {SILENCE}\nMANAGER_TIMER = 1\n"
            'PROMETHEUS = [ ADDRESS = "0.0.0.0:9106" ]\n'
        )
        probes = self.home / "remotes/im/kvm-probes.d/host/system"
        probes.mkdir(parents=True)
        (probes / "rack.sh").write_text('#!/bin/sh\necho "RACK=\\"$1-$2-$3\\""\n')
        (probes / "rack.sh").chmod(0o755)

    @property
    def monitor_port(self) -> int:
        return 14000 + os.getpid() % 4000

    def memory(self, host: BedHost) -> int:
        """KB, used and free."""
        document = self.document("host", self.hosts[host.name])
        names = ("USED_MEMORY", "FREE_MEMORY")
        return sum(int(document.findtext(f"MONITORING/CAPACITY/{name}", "0")) for name in names)

    def agents(self, host: BedHost) -> list[int]:
        """The processes of agents, as the host numbers them."""
        words = 'for f in /var/tmp/one/run-*/agent-*.pid; do p=$(cat "$f"); '
        words += 'tr "\\0" " " </proc/$p/cmdline 2>/dev/null | grep -q merope_agent && echo $p; done; true'
        return [int(line) for line in host.run("sh", "-c", words).split()]


@pytest.fixture(scope="module")
def cloud(bed: Bed) -> Iterator[AgentCloud]:
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    made = AgentCloud(bed, home, bed.shared / "datastores", 30000 + os.getpid() % 2000)
    made.configure()
    made.start()
    try:
        for host in bed.hosts:
            made.add(host)
        for host in bed.hosts:
            made.wait_for_host(host.name)
        yield made
    finally:
        made.stop()
        shutil.rmtree(home)


def adds_up(cloud: AgentCloud, host: BedHost, total: int) -> bool:
    return cloud.memory(host) == total


def test_an_agent_comes_over_ssh_and_tells_what_is_true(cloud: AgentCloud) -> None:
    for host in cloud.bed.hosts:
        document = cloud.document("host", cloud.hosts[host.name])
        assert len(cloud.agents(host)) == 1
        assert document.findtext("TEMPLATE/HOSTNAME") == host.name
        assert document.findtext("TEMPLATE/HYPERVISOR") == "qemu"
        assert document.findtext("TEMPLATE/RACK") == f"kvm-{cloud.hosts[host.name]}-{host.name}"
        assert "pc-q35" in document.findtext("TEMPLATE/KVM_MACHINES", "")
        meminfo = host.run("cat", "/proc/meminfo").splitlines()
        [total] = [line.split()[1] for line in meminfo if line.startswith("MemTotal")]
        assert document.findtext("HOST_SHARE/TOTAL_MEM") == total
        assert int(document.findtext("HOST_SHARE/TOTAL_CPU", "0")) == 100 * (os.cpu_count() or 1)
        eventually("its memory adds up", partial(adds_up, cloud, host, int(total)))


def test_figures_are_kept(cloud: AgentCloud) -> None:
    oid = cloud.hosts["node1"]

    def kept() -> bool:
        with cloud.client as client:
            return len(client.document("one.host.monitoring", oid).findall("MONITORING")) >= 2

    eventually("two measurements are kept", kept)


def test_an_agent_that_is_killed_is_back(cloud: AgentCloud) -> None:
    host = cloud.bed.host("node1")
    [pid] = cloud.agents(host)
    host.run("kill", "-9", str(pid))
    eventually("another agent runs", lambda: bool(set(cloud.agents(host)) - {pid}))
    assert cloud.host_state("node1") is HostState.MONITORED


def test_forged_messages_change_nothing(cloud: AgentCloud) -> None:
    oid = cloud.hosts["node2"]
    line = FakeAgent(host=oid, master=bytes(32)).say("SYSTEM_HOST", 'TOTALCPU="9900"\nTOTALMEMORY="1"\n')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(20):
            sender.sendto(line, ("127.0.0.1", cloud.monitor_port))
    before = cloud.document("host", oid).findtext("MONITORING/TIMESTAMP", "0")
    eventually(
        "the host reports", lambda: cloud.document("host", oid).findtext("MONITORING/TIMESTAMP", "0") > before
    )
    assert int(cloud.document("host", oid).findtext("HOST_SHARE/TOTAL_CPU", "0")) == 100 * (
        os.cpu_count() or 1
    )


def test_a_domain_that_is_nobodys_is_told_with_a_template(cloud: AgentCloud) -> None:
    host = cloud.bed.host("node2")
    (host.root / "tmp/stray.xml").write_text(DOMAIN)
    host.run("virsh", "create", "/tmp/stray.xml")
    wild = "TEMPLATE/VM[DEPLOY_ID='stray']/IMPORT_TEMPLATE"
    try:
        oid = cloud.hosts["node2"]
        eventually("it is told of", lambda: cloud.document("host", oid).find(wild) is not None)
        text = base64.b64decode(cloud.document("host", oid).findtext(wild, "")).decode()
        template = Template.parse(text)
        assert (template.get("VCPU"), template.get("MEMORY")) == ("2", "64")
    finally:
        host.run("virsh", "destroy", "stray")
    eventually("it is told of no more", lambda: cloud.document("host", oid).find(wild) is None)


def test_an_agent_answers_prometheus(cloud: AgentCloud) -> None:
    page = cloud.bed.host("node3").run("curl", "-s", "http://127.0.0.1:9106/metrics")
    assert "merope_host_used_memory_kilobytes " in page


def test_a_host_that_is_cut_off_is_in_error_and_comes_back(cloud: AgentCloud) -> None:
    host = cloud.bed.host("node3")
    host.link_down()
    try:
        document = cloud.wait_for_host("node3", HostState.ERROR, 120)
        assert "Error monitoring Host node3" in document.findtext("TEMPLATE/ERROR", "")
    finally:
        host.link_up()
    assert cloud.wait_for_host("node3", limit=120).findtext("TEMPLATE/ERROR") is None


def test_the_agent_of_a_host_that_is_deleted_is_gone(cloud: AgentCloud) -> None:
    host = cloud.bed.host("node3")
    cloud.ask("one.host.delete", cloud.hosts["node3"])
    eventually("no agent is left", lambda: not cloud.agents(host))
