"""Microseconds to parse and to write a production template: `python bench/template_parse.py [rounds]`."""

import sys
import time
from collections.abc import Callable

from merope.model.template import Template

PRODUCTION = (
    """NAME="bench-1"
CPU="0.1"
VCPU="2"
MEMORY="64"
DISK=[IMAGE_ID="0",DEV_PREFIX="vd",CACHE="none",DISCARD="unmap",IO="native"]
NIC=[NETWORK_ID="0",MODEL="virtio",SECURITY_GROUPS="0"]
OS=[ARCH="x86_64",BOOT="disk0",MACHINE="pc-q35-2.11",KERNEL_CMD="console=ttyS0 ro"]
FEATURES=[ACPI="yes",APIC="yes",PAE="yes",LOCALTIME="no",GUEST_AGENT="yes",VIRTIO_SCSI_QUEUES="4"]
GRAPHICS=[LISTEN="0.0.0.0",TYPE="VNC",KEYMAP="en-us"]
INPUT=[BUS="usb",TYPE="tablet"]
CPU_MODEL=[MODEL="host-passthrough"]
CONTEXT=[NETWORK="YES",SSH_PUBLIC_KEY="ssh-rsa """
    + "Qx7v" * 92
    + """ bench@example.org",USERNAME="root",TOKEN="NO",
  START_SCRIPT_BASE64=\""""
    + "IyEvYmluL2Jhc2gKYXB0LWdldCB1cGRhdGUK" * 18
    + """",DNS="192.0.2.53 192.0.2.54",SET_HOSTNAME="bench-1"]
USER_INPUTS=[DB_NAME="M|text|Database name| |app",SIZE="O|list|Size|s,m,l|m"]
DB_NAME="app"
DESCRIPTION="Web application server, tier 2, managed by the platform team; ticket OPS-1"
LABELS="prod,web,tier2"
COST_CENTER="CC-4711"
OWNER_MAIL="ops@example.org"
BACKUP_POLICY=[KEEP="14",WINDOW="02:00-04:00",TARGET="s3://backup/prod"]
SCHED_REQUIREMENTS="HYPERVISOR = \\"kvm\\" & FREE_CPU > 10"
SCHED_RANK="FREE_MEMORY"
"""
)


def best(work: Callable[[], object], rounds: int) -> float:
    """The best of five runs, µs for each call: the machine's noise only adds."""
    runs = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(rounds):
            work()
        runs.append(time.perf_counter() - start)
    return min(runs) / rounds * 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    template = Template.parse(PRODUCTION)
    xml = template.to_xml()
    print(f"text {len(PRODUCTION)} characters, XML {len(xml)} characters")
    for label, work in (
        ("parse text", lambda: Template.parse(PRODUCTION)),
        ("parse XML", lambda: Template.parse(xml)),
        ("write XML", template.to_xml),
        ("write text", template.to_text),
        ("copy", template.copy),
    ):
        print(f"{label:<12}{best(work, rounds):8.1f} us")


if __name__ == "__main__":
    main()
