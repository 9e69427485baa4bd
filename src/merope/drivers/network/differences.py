"""What is to be changed of a VM's rules on this host: `python -m … HOME DATASTORES`, its document on standard
input, one line for each rule on standard output."""

import sys
from pathlib import Path

from merope.drivers.network.bridged import FirewallNetwork, VlanNetwork, VxlanNetwork
from merope.drivers.network.site import Site
from merope.model.vm import VM

_FILTERING = (FirewallNetwork, VlanNetwork, VxlanNetwork)


def differences(vm: VM, site: Site) -> list[str]:
    """Rules that go, with a minus, and that come, with a plus, of drivers with security groups."""
    return [line for driver in _FILTERING for line in driver.of_site(site).changes(vm)]


def main() -> None:
    home, datastores = map(Path, sys.argv[1:])
    for line in differences(VM.from_xml(sys.stdin.read()), Site.of_cloud(home, datastores)):
        print(line)


if __name__ == "__main__":
    main()
