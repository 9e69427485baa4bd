"""What the filters of a NIC cost on a host that has those of others already.

    python bench/packet_filters.py      (root; in a network namespace of its own)

Printed is the CPU (user and system, of the driver, of iptables and of nft) for putting a NIC's rules,
changing one of them, and removing them; and for a NIC with very many rules.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.drivers.network.cloudlet import cloudlet, machine  # noqa: E402

from merope.model.vm import VM  # noqa: E402

_NIC = (
    'VN_MAD = "fw", BRIDGE = "onebr0", SECURITY_GROUPS = "100", '
    'FILTER_IP_SPOOFING = "YES", FILTER_MAC_SPOOFING = "YES"'
)
_PRESENT = (0, 50, 200)
_RULES, _MANY = 20, 2500


def vm(number: int, rules: int) -> VM:
    lines = (
        "SECURITY_GROUP_RULE = [ SECURITY_GROUP_ID = 100, PROTOCOL = TCP, RULE_TYPE = inbound, "
        f'RANGE = {1000 + each}, IP = "10.{each // 200}.{each % 200}.1", SIZE = 3 ]'
        for each in range(rules)
    )
    return machine(number, _NIC, more="\n".join(lines))


def seconds(do: Callable[[], None]) -> float:
    before = os.times()
    do()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def main() -> None:
    with tempfile.TemporaryDirectory() as state, cloudlet(Path(state)) as cloud:
        driver = cloud.driver("fw", cloud.host())
        there = 0
        for wanted in _PRESENT:
            for number in range(there + 1, wanted + 1):
                driver.pre(vm(number, _RULES))
            there = wanted
            put = seconds(lambda: driver.pre(vm(250, _RULES)))
            changed = seconds(lambda: driver.update(vm(250, _RULES - 1), "one-250", 100))
            removed = seconds(lambda: driver.clean(vm(250, _RULES)))
            spent = f"put {put:.2f} s, change {changed:.2f} s, remove {removed:.2f} s"
            print(f"{wanted:4} NICs of {_RULES} rules there: {spent}")
        print(f"a NIC of {_MANY} rules: put {seconds(lambda: driver.pre(vm(251, _MANY))):.2f} s")


if __name__ == "__main__":
    main()
