"""Runs a command and fails when it leaves something on this machine that was not there before.

    python -m tests.leaks python -m pytest tests/e2e --e2e

Processes are those that descend from the command, whoever else works here: those whose parents have ended
become children of this program. All else (mounts, links, namespaces, rules, loop devices, and directories of
tests in /tmp and /var/tmp) is the whole machine's, and compared by two lists.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

State = Mapping[str, Sequence[str]]
"""What is there, by its kind: a line for each, as a person reads it."""

LEFT = 3
"""How the program ends when the command was right and something is left."""
_PATIENCE = 20.0
"""Seconds for what was told to end (masters of SSH, daemons that were asked) to have ended."""
_PR_SET_CHILD_SUBREAPER = 36
#: The kernel makes them with the module of their kind, and they stay as long as it is loaded.
_OF_MODULES = re.compile(
    r"(ifb[01]|bond0|sit0|tunl0|ip6tnl0|gre0|gretap0|erspan0|ip6gre0|ip_vti0|ovs-system)"
)
_PLACES = ("/tmp", "/var/tmp")
_OURS = ("mrp-", "merope-")
_NOT_LEFT = ("merope-real-tests.lock",)


def difference(before: State, after: State) -> list[str]:
    """A line for each thing that is there after and was not before; equal ones are counted."""
    found = []
    for kind, lines in after.items():
        more = Counter(lines) - Counter(before.get(kind, ()))
        found += [
            f"{kind}: {line}" + (f" ({count} times)" if count > 1 else "") for line, count in more.items()
        ]
    return found


def rules_of_iptables(saved: str) -> list[str]:
    """Rules and chains of users in what iptables-save and ebtables-save print, each with its table."""
    table, found = "", []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-") or re.match(r":\S+ - ", line):
            found.append(f"{table} {line.partition(' [')[0]}")
    return found


def tables_of_nft(listed: str) -> list[str]:
    """Tables that have something in what `nft -j list ruleset` prints, but for those of iptables."""
    items = json.loads(listed)["nftables"] if listed else []
    by_kind = Counter[str]()
    for item in items:
        ((kind, body),) = item.items()
        if kind in ("rule", "set", "map", "chain"):
            by_kind[f"{body['family']} {body['table']}"] += 1
    return [
        f"{name}: {count} chains, sets, rules" for name, count in by_kind.items() if not _of_iptables(name)
    ]


def _of_iptables(table: str) -> bool:
    """They are read by iptables-save, which tells chains of its own from those of others."""
    return table.partition(" ")[2] in ("filter", "nat", "mangle", "raw", "security")


def mount_points(mountinfo: str) -> list[str]:
    """Where something is mounted and what, of /proc/PID/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, source = rest.split()[:2]
        found.append(f"{fields.split()[4]} ({kind}, {source})")
    return found


def look() -> dict[str, list[str]]:
    """What is on this machine now, but for processes."""
    return {
        "mount": mount_points(Path("/proc/self/mountinfo").read_text()),
        "interface": [link for link in _interfaces() if not _OF_MODULES.fullmatch(link)],
        "network namespace": [path.name for path in Path("/run/netns").glob("*")],
        "loop device": list(_loop_devices()),
        "directory": list(_directories()),
        "rule of iptables": rules_of_iptables(_told("iptables-save")),
        "rule of ip6tables": rules_of_iptables(_told("ip6tables-save")),
        "rule of ebtables": rules_of_iptables(_told("ebtables-save")),
        "table of nftables": tables_of_nft(_told("nft", "-j", "list", "ruleset")),
    }


def _interfaces() -> list[str]:
    return [each["ifname"] for each in json.loads(_told("ip", "-json", "link", "show") or "[]")]


def _loop_devices() -> Iterator[str]:
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        yield f"{path.parts[3]} on {path.read_text().strip()}"


def _directories() -> Iterator[str]:
    for place in _PLACES:
        for path in Path(place).iterdir():
            if path.name.startswith(_OURS) and path.name not in _NOT_LEFT:
                yield str(path)


def _told(*argv: str) -> str:
    """What a program prints; nothing where it is not installed or may not look."""
    if shutil.which(argv[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return ""
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def descendants(parents: Mapping[int, int], ancestor: int) -> set[int]:
    """Of processes with their parents, those that `ancestor` started, whoever did it for it."""
    found: set[int] = set()
    fresh = {ancestor}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def _processes() -> dict[int, tuple[int, str]]:
    """The parent and the command line of each process that has not ended."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if state not in "ZX":
            found[int(place.name)] = (int(parent), command)
    return found


def _mine() -> list[str]:
    table = _processes()
    ours = descendants({pid: parent for pid, (parent, _) in table.items()}, os.getpid())
    return [f"{pid} {table[pid][1]}" for pid in sorted(ours)]


def _reap(block: bool) -> tuple[int, int]:
    try:
        return os.waitpid(-1, 0 if block else os.WNOHANG)
    except ChildProcessError:
        return 0, 0


def _run(argv: Sequence[str]) -> int:
    """The command's own end; orphans of its processes come to us meanwhile."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.posix_spawnp(argv[0], list(argv), os.environ)

    def pass_on(number: int, _: object) -> None:
        os.kill(child, number)

    # From a terminal the command has them too: it is the one that ends by them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, pass_on)
    while True:
        pid, status = _reap(block=True)
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def _left_processes(patience: float) -> list[str]:
    deadline = time.monotonic() + patience
    while True:
        while _reap(block=False)[0]:
            pass
        left = _mine()
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def report(left: Iterable[str]) -> str:
    """A sentence on what is left, and a line for each; nothing when nothing is."""
    lines = [f"  {line}" for line in left]
    return (
        "\n".join([f"{len(lines)} left that were not there before:", *lines]) if lines else "nothing is left"
    )


def main(argv: Sequence[str], patience: float = _PATIENCE) -> int:
    """Runs `argv`; how it ended, or LEFT. What is left is said on standard error."""
    before = look()
    code = _run(argv)
    left = [f"process: {line}" for line in _left_processes(patience)] + difference(before, look())
    print(report(left), file=sys.stderr if left else sys.stdout)
    return code or (LEFT if left else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
