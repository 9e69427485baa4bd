"""Networks of third parties: executables `remotes/vnm/<name>/{pre,post,clean,update_sg}` on the VM's host.

Each gets the VM's document in base64 on standard input; `post` and `update_sg` the deploy id as a word too.
What lies in `pre.d`, `post.d` and `clean.d` is run after it, in the order of the names, in the same way.
Source: spec drivers.yaml `vnm`.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

from pathlib import Path

from merope.drivers.executable import Executables
from merope.model.vm import VM


class ExecutableNetwork:
    """`directory` holds the executables. An action that is not there has nothing to do."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def pre(self, vm: VM, nic_id: int | None = None) -> None:
        self._run("pre", vm)

    def post(self, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:
        self._run("post", vm, deploy_id)

    def clean(self, vm: VM, nic_id: int | None = None) -> None:
        self._run("clean", _only(vm, nic_id))

    def update(self, vm: VM, deploy_id: str, security_group: int) -> None:
        self._run("update_sg", vm, deploy_id)

    def _run(self, action: str, vm: VM, *words: str) -> None:
        document = vm.to_xml()
        own = Executables(self._directory, "network driver")
        if own.has(action):
            own.run(action, words, document=document)
        further = Executables(self._directory / f"{action}.d", f"{action}.d of")
        if not further.directory.is_dir():
            return
        for path in sorted(further.directory.iterdir()):
            if further.has(path.name):
                further.run(path.name, words, document=document)


def _only(vm: VM, nic_id: int | None) -> VM:
    """The VM with the one NIC alone that goes: executables clean all that they are told of."""
    if nic_id is None:
        return vm
    alone = VM.from_xml(vm.to_xml())
    for name in ("NIC", "NIC_ALIAS"):
        kept = [nic for nic in alone.template.remove(name) if isinstance(nic, dict)]
        for nic in kept:
            if nic.get("NIC_ID") == str(nic_id):
                alone.template.add(name, nic)
    return alone
