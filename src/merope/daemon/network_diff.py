"""`one network-diff VMID...`: which rules of VMs' NICs are not on their hosts as the documents have them.

With `--group ID --rules FILE` it says what an update of the security group to that template would change.
Nothing is changed: that is what `onesecgroup update` and `onesecgroup commit` do.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from merope.client import Client
from merope.core.security_group import check_rules
from merope.daemon.hosts_command import carried_out, client_here
from merope.daemon.layout import Layout
from merope.drivers.errors import DriverError
from merope.drivers.localhost import is_local
from merope.drivers.network.differences import differences
from merope.drivers.network.site import Site
from merope.engine.remote import Remote
from merope.model.security_group import SecurityGroup, about_ranges
from merope.model.template import Template, TemplateError, Vector
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

_SECONDS = 60.0
_DIFFERENT = 1


def main(words: Sequence[str] | None = None) -> int:
    """As `diff`: 0 where nothing differs, 1 where something does, 2 for trouble."""
    parser = argparse.ArgumentParser(
        prog="one network-diff", description="Which rules of VMs' NICs would change on their hosts."
    )
    parser.add_argument("vm", nargs="*", type=int, help="of a VM; without: all of the group")
    parser.add_argument("--group", type=int, help="a security group, with --rules")
    parser.add_argument("--rules", type=Path, help="a template with the RULEs that the group would have")
    parser.add_argument("--home", type=Path, help="directory of the cloud (default: ./var)")
    arguments = parser.parse_args(words)
    if (arguments.group is None) != (arguments.rules is None) or not (arguments.vm or arguments.rules):
        parser.error("name VMs, or a group by --group with --rules")

    def look(layout: Layout, remote: Remote) -> int:
        with client_here(layout) as client:
            rules = _rules(client, arguments.group, arguments.rules) if arguments.rules else None
            vms = arguments.vm or _members(client, arguments.group)
            found = [_show(remote, _vm(client, oid, arguments.group, rules)) for oid in vms]
        return _DIFFERENT if any(found) else 0

    return carried_out(arguments.home, look, DriverError, TemplateError, ValueError)


def _members(client: Client, group: int) -> list[int]:
    document = SecurityGroup.from_xml(client.info_text("secgroup", group))
    return sorted(document.updated_vms | document.outdated_vms | document.updating_vms | document.error_vms)


def _rules(client: Client, group: int, path: Path) -> list[Vector]:
    """The rules of a template as VMs of the group would carry them."""
    template = Template.parse(path.read_text())
    check_rules(template)
    return [
        Vector({**rule, "SECURITY_GROUP_ID": str(group)})
        for given in template.vectors("RULE")
        for rule in _ranges(client, given)
    ]


def _ranges(client: Client, rule: Vector) -> Iterator[dict[str, str]]:
    if not rule.get("NETWORK_ID"):
        yield dict(rule)
        return
    network = VirtualNetwork.from_xml(client.info_text("vnet", int(rule["NETWORK_ID"])))
    yield from about_ranges(rule, network)


def _vm(client: Client, oid: int, group: int | None, rules: Sequence[Vector] | None) -> VM:
    vm = VM.from_xml(client.info_text("vm", oid))
    if rules is not None:
        others = vm.template.vectors("SECURITY_GROUP_RULE")
        vm.template.remove("SECURITY_GROUP_RULE")
        for rule in [*(each for each in others if each.get("SECURITY_GROUP_ID") != str(group)), *rules]:
            vm.template.add("SECURITY_GROUP_RULE", rule)
    return vm


def _show(remote: Remote, vm: VM) -> bool:
    """Prints what differs on the VM's host; whether something does."""
    if vm.history is None or not vm.phase.active:
        print(f"VM {vm.id} is on no host")
        return False
    found = _ask(remote, vm.history.hostname, vm)
    print(f"VM {vm.id} on {vm.history.hostname}{'' if found else ': as it should be'}")
    for line in found:
        print(f"  {line}")
    return bool(found)


def _ask(remote: Remote, host: str, vm: VM) -> list[str]:
    if is_local(host):
        return differences(vm, Site.of_cloud(remote.home, remote.location))
    remote.prepare(host)
    root, home = remote.directory / "merope", remote.directory / "home"
    words = ["env", f"PYTHONPATH={root}", "LC_ALL=C.UTF-8", remote.python, "-P"]
    words += ["-m", "merope.drivers.network.differences", str(home), str(remote.location)]
    told = remote.ssh.run(host, words, timeout=_SECONDS, input=vm.to_xml(), idempotent=True)
    return told.stdout.splitlines()
