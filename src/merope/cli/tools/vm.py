"""onevm: virtual machines."""

from merope.cli import values, vm_actions, vm_attach, vm_create, vm_debug, vm_explain, vm_options
from merope.cli.actions import (
    lock_commands,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.declare import FORMAT_OPTIONS, Arg, Command, Tool, flag, ids, one, opt, part, word
from merope.cli.declare import file as file_argument
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.vm_actions import action, hard_action, snapshot
from merope.cli.vm_table import COLUMNS, MORE_COLUMNS


def _page() -> tuple[int, Show]:
    from merope.cli.shows.vm import show

    return 20, show


_DATASTORE = one("datastore", optional=True)
_ENFORCE = flag("--enforce", "only where the capacity is free", "-e")
_DISK = part("diskid")

TOOL = Tool(
    "onevm",
    "vm",
    "virtual machines: create, watch and operate them",
    (
        Command(
            "create",
            "create a machine from a file or from options",
            vm_create.create,
            (file_argument(),),
            vm_create.CREATE_OPTIONS,
            (
                "create web.template",
                "create --name web --cpu 1 --memory 512M --disk debian --nic private",
                "create --name 'web-%i' --multiple 3 --cpu 0.5 --memory 256M --disk 0 --nic 0 --hold",
            ),
        ),
        update_command("vm", "USER_TEMPLATE"),
        action("hold", "keep machines from being scheduled"),
        action("release", "let held machines be scheduled"),
        Command(
            "disk-saveas",
            "save a disk as a new image",
            vm_attach.disk_saveas,
            (one("vm"), _DISK, word("img_name")),
            (
                opt("--type", "type", "the new image's type (default: that of the disk's image)", "-t"),
                opt(
                    "--snapshot",
                    "snapshot",
                    "a snapshot of the disk (default: its current state)",
                    "-s",
                    values.natural,
                ),
            ),
        ),
        hard_action("terminate", "shut machines down and remove them"),
        hard_action(
            "undeploy", "shut machines down, keep their disks in the system datastore, free the host"
        ),
        hard_action("poweroff", "switch machines off, keep them on their host"),
        hard_action("reboot", "restart machines"),
        Command(
            "deploy",
            "start waiting machines on a host",
            vm_actions.deploy,
            (ids("vm"), one("host"), _DATASTORE),
            (
                _ENFORCE,
                opt(
                    "--file",
                    "file",
                    "a template with NICs, for networks that the scheduler would choose",
                    "-f",
                ),
            ),
            ("deploy 0..3 node1",),
        ),
        Command(
            "migrate",
            "move machines to another host",
            vm_actions.migrate,
            (ids("vm"), one("host"), _DATASTORE),
            (
                _ENFORCE,
                flag("--live", "while they run"),
                flag("--poff", "switched off on the way"),
                flag("--poff-hard", "switched off hard on the way"),
            ),
            ("migrate 5 node2 --live",),
        ),
        action("stop", "save machines' state and free the host"),
        action("suspend", "save machines' state on their host"),
        action("resume", "go on with what was stopped, suspended, undeployed or switched off"),
        Command(
            "recover",
            "help machines out of an operation that hangs or failed",
            vm_actions.recover,
            (ids("vm"),),
            vm_actions.RECOVER_OPTIONS,
            ("recover 7 --retry", "recover 7 --retry --interactive", "recover 7..9 --delete"),
        ),
        Command(
            "disk-attach",
            "add a disk",
            vm_attach.disk_attach,
            (one("vm"),),
            (
                opt("--file", "file", "a template with the disk", "-f"),
                opt("--image", "id|name", "the image", "-i"),
                opt("--target", "target", "the guest's device (sdb)", "-t"),
                opt("--cache", "cache_mode", "default, none, writethrough, writeback, directsync, unsafe"),
                opt("--discard", "discard_mode", "ignore, unmap"),
                opt("--prefix", "prefix", "the device's prefix (sd, vd)"),
            ),
            ("disk-attach 0 --image data",),
        ),
        Command("disk-detach", "take a disk away", vm_attach.call("detach", "diskid"), (one("vm"), _DISK)),
        Command(
            "nic-attach",
            "add a network interface",
            vm_attach.nic_attach,
            (one("vm"),),
            (
                opt("--file", "file", "a template with the interface", "-f"),
                opt("--network", "id|name", "the network", "-n"),
                opt("--ip", "ip", "ask for this address", "-i"),
                opt("--alias", "alias", "make it an alias of this interface", "-a"),
                opt("--nic_name", "name", "the interface's name"),
            ),
            ("nic-attach 0 --network private",),
        ),
        Command(
            "nic-detach",
            "take a network interface away",
            vm_attach.call("detachnic", "nicid"),
            (one("vm"), part("nicid")),
        ),
        Command(
            "explain",
            "say why a machine waits for a host, and what comes nearest",
            vm_explain.explain,
            (one("vm"),),
            FORMAT_OPTIONS,
            ("explain 4", "explain 4 --json"),
        ),
        Command(
            "tm-debug",
            "go through the steps of a transfer that failed, one by one (on the front-end)",
            vm_debug.tm_debug,
            (one("vm"),),
            (flag("--steps", "show them and do none"),),
            ("tm-debug 4",),
        ),
        *ownership_commands("vm"),
        action("resched", "let the scheduler move machines", scheduled=False),
        action("unresched", "take resched back", scheduled=False),
        rename_command("vm"),
        snapshot(
            "snapshot-create", "save the whole machine's state", (ids("vm"), word("name", optional=True))
        ),
        snapshot("snapshot-revert", "go back to a state", (one("vm"), part("snapshot_id"))),
        snapshot("snapshot-delete", "forget a state", (one("vm"), part("snapshot_id"))),
        snapshot("disk-snapshot-create", "save a disk's state", (one("vm"), _DISK, word("name"))),
        snapshot(
            "disk-snapshot-revert",
            "go back to a disk's state",
            (one("vm"), _DISK, part("disk_snapshot_id")),
        ),
        snapshot(
            "disk-snapshot-delete", "forget a disk's state", (one("vm"), _DISK, part("disk_snapshot_id"))
        ),
        Command(
            "disk-snapshot-rename",
            "give a disk's state another name",
            vm_attach.call("disksnapshotrename", "diskid", "disk_snapshot_id", "new_snapshot_name"),
            (one("vm"), _DISK, part("disk_snapshot_id"), word("new_snapshot_name")),
        ),
        Command(
            "disk-resize",
            "make a disk larger",
            vm_attach.disk_resize,
            (one("vm"), _DISK, Arg("size", values.megabytes)),
            examples=("disk-resize 0 1 10G",),
        ),
        *list_commands(
            "vm", opt("--search", "KEY=VALUE", "machines that have it, such as NAME=web or IP=10.1.0.13")
        ),
        show_command("vm", _page, flag("--all", "show all attributes of the template"), decrypt=True),
        Command(
            "resize",
            "change CPU and memory",
            vm_actions.resize,
            (one("vm"),),
            (
                *vm_options.CAPACITY_OPTIONS,
                _ENFORCE,
                opt("--file", "file", "a template with CPU, VCPU and MEMORY", "-f"),
            ),
            ("resize 0 --memory 2G --vcpu 2",),
        ),
        Command(
            "save",
            "make a template of a machine that is switched off, with its disks as they are",
            vm_actions.save,
            (one("vm"), word("name")),
            (flag("--persistent", "make the saved images persistent"),),
            ("save web web-2026-11",),
        ),
        Command(
            "updateconf",
            "change OS, FEATURES, INPUT, GRAPHICS, RAW, CPU_MODEL or CONTEXT",
            vm_create.updateconf,
            (one("vm"), file_argument()),
        ),
        *lock_commands("vm"),
    ),
    COLUMNS,
    MORE_COLUMNS,
)
