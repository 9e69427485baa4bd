"""Whatever a client sends to any method: an answer in the API's form, soon, and a refusal changes nothing.

Set MEROPE_HOSTILE_SECONDS for a longer random part (default: a few seconds).
"""

import hashlib
import os
import random
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compat.conftest import Sandbox
from tests.compat.hostile_templates import Templates, World, make_world
from tests.compat.raw_calls import Answer, Argument, RawClient, body_of, filler, pools, refused_properly

from merope.core import commands
from merope.core.methods import METHODS, Type

__all__ = ["commands"]

BOUND = 2.0
SECONDS = float(os.environ.get("MEROPE_HOSTILE_SECONDS", "4"))
#: Calls after which the objects that they are about are made anew: by then much has been removed.
RENEWED = 500
ALL = sorted(METHODS)
WITH_TEXT = [name for name in ALL if any(p.type is Type.STRING for p in METHODS[name].params)]
WITH_NUMBERS = [name for name in ALL if any(p.type is Type.INTEGER for p in METHODS[name].params)]
#: A cloud that stands alone takes no further zone, and there is no template of routers to make VMs of.
UNREAD = ("one.zone.allocate", "one.vrouter.instantiate")
WITH_TEMPLATE = [
    name
    for name in ALL
    if any(p.name in ("template", "quota", "extra") for p in METHODS[name].params) and name not in UNREAD
]
NUMBERS = (-1, 2**31 - 1, -(2**31), 10**9)
TEXTS = (
    "",
    "a" * 1_000_000,
    "]]>",
    "<A>]]&gt;</A>",
    '<!DOCTYPE a [<!ENTITY b "c">]><T><A>&b;</A></T>',
    '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><T><A>&x;</A></T>',
    "<T><A>&undeclared;</A></T>",
    "; touch /tmp/x $(id) `id` | & > <",
    "../../../../etc/passwd",
    "$USER[TEMPLATE] $NAME ${X} $$ $FILE[IMAGE=a]",
    "%s%n%x {0} {x.__class__} %(a)s",
    "\u202eexe.tpl\u2066",
    "\u2028\u2029\u0085",
    "\x7f\x9b31m",
    "n" * 129,
    "é" * 129,
    "'\"\\",
    "9" * 5000,
    "-9" * 5000,
    "1e999",
    "nan",
    "\u0663",
    "1_000",
    "A=",
    "A = [",
    'A="',
    "A=[B=c]\n" * 10_000,
    "A=[" + ",".join(f"K{number}=v" for number in range(10_000)) + "]",
    "<a>" * 50_000 + "</a>" * 50_000,
    "<a" * 50_000,
    "[" * 100_000,
    "(" * 100_000,
    "$FILE[" * 100_000,
)


class Cloud:
    """The sandbox, as an administrator's client sees it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.client = RawClient(sandbox.endpoint, sandbox.auth)
        self.log = sandbox.home / "oned.log"
        self.metrics = sandbox.endpoint.replace("/RPC2", "/metrics")

    def changes(self) -> str:
        """The number of the last change."""
        with urllib.request.urlopen(self.metrics) as page:
            found = re.search(r"^merope_change_index (\d+)", page.read().decode(), re.MULTILINE)
        assert found is not None
        return found[1]

    def digest(self) -> str:
        return hashlib.sha256(repr(pools(self.client)).encode()).hexdigest()

    def tracebacks(self) -> int:
        return self.log.read_text("utf-8", "replace").count("Traceback")

    def refuse_all(self, calls: list[tuple[str, list[Argument]]]) -> list[Answer]:
        """Makes calls; each that is refused must be so properly and leave everything as it was."""
        answers = []
        index, digest = self.changes(), self.digest()
        for method, arguments in calls:
            answer = self.client.call(method, *arguments)
            shown = f"{method} {str(arguments)[:300]} → {str(answer.value)[:300]}"
            assert answer.success or refused_properly(answer), shown
            assert answer.seconds < BOUND, f"{answer.seconds:.2f} s: {shown}"
            assert answer.success or len(str(answer.value)) < 8000, shown
            answers.append(answer)
            if answer.success and not METHODS[method].read_only:
                index, digest = self.changes(), self.digest()
        # Changes of the cloud's own accord are none of a refused call.
        assert self.changes() == index or self.digest() == digest, f"one of these changed something: {calls}"
        return answers


@pytest.fixture(scope="module")
def cloud(sandbox: Sandbox) -> Iterator[Cloud]:
    made = Cloud(sandbox)
    yield made
    made.client.close()


@pytest.fixture(autouse=True)
def _without_bugs(cloud: Cloud) -> Iterator[None]:
    before = cloud.tracebacks()
    yield
    assert cloud.tracebacks() == before, cloud.log.read_text("utf-8", "replace")[-4000:]


@pytest.mark.parametrize("name", ALL)
def test_a_parameter_of_another_type_and_one_missing_are_faults(cloud: Cloud, name: str) -> None:
    method = METHODS[name]
    plain = filler(method)
    others: dict[Type, list[Argument]] = {
        Type.STRING: [1, True, [1], 1.5],
        Type.INTEGER: ["1", True, [1], 1.5, 2**31, -(2**63)],
        Type.BOOLEAN: ["true", 1, [1], 1.5],
        Type.INTEGER8: ["1", True, [1], 1.5],
        Type.ARRAY: ["1", 1, True, 1.5],
    }
    calls: list[list[Argument]] = [plain[: method.required - 1]] if method.required else []
    for place, param in enumerate(method.params):
        calls += [[*plain[:place], wrong, *plain[place + 1 :]] for wrong in others[param.type]]
    index = cloud.changes()
    for arguments in calls:
        answer = cloud.client.call(name, *arguments)
        assert answer.fault == -501, f"{name} {arguments}: {answer}"
        assert answer.seconds < BOUND
    assert cloud.changes() == index


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_numbers_at_the_edges_are_answered(cloud: Cloud, name: str) -> None:
    params = METHODS[name].params
    empty: list[Argument] = ["" if param.type is Type.STRING else 10**9 for param in params]
    plain = [
        value if param.type in (Type.STRING, Type.INTEGER) else filled
        for param, value, filled in zip(params, empty, filler(METHODS[name]), strict=True)
    ]
    calls: list[tuple[str, list[Argument]]] = [
        (name, [*plain[:place], number, *plain[place + 1 :]])
        for place, param in enumerate(params)
        if param.type is Type.INTEGER
        for number in NUMBERS
    ]
    assert len(cloud.refuse_all(calls)) == len(calls)


@pytest.mark.parametrize("name", WITH_TEXT)
def test_hostile_texts_are_answered(cloud: Cloud, name: str) -> None:
    params = METHODS[name].params
    plain = filler(METHODS[name])
    calls: list[tuple[str, list[Argument]]] = [
        (name, [*plain[:place], text, *plain[place + 1 :]])
        for place, param in enumerate(params)
        if param.type is Type.STRING
        for text in TEXTS
    ]
    assert len(cloud.refuse_all(calls)) == len(calls)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"a\xff\xfeb", -503),
        (b"\xc0\xaf", -503),
        (b"\xed\xa0\x80", -503),  # a lone surrogate
        (b"a\x00b", -503),
        (b"\x1b[31m", -503),
        (b"&#0;", -503),
        (b"&#xD800;", -503),
        (b"&nothing;", -503),
        (b"]]>", -503),
        (b"a" * (2 * 1024 * 1024 + 1), -509),
    ],
    ids=lambda value: repr(value[:8]) if isinstance(value, bytes) else str(value),
)
def test_what_is_no_text_on_the_wire_is_a_fault(cloud: Cloud, text: bytes, code: int) -> None:
    body = body_of("one.cluster.allocate", (cloud.client.auth, "HERE")).replace(b"HERE", text)
    answer = cloud.client.send(body)
    assert (answer.fault, answer.seconds < BOUND) == (code, True)


def test_a_body_with_entities_is_refused_before_they_are_read(cloud: Cloud) -> None:
    lots = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    document = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "ha">{lots}]>'.encode()
    body = body_of("one.cluster.allocate", (cloud.client.auth, "HERE"))
    answer = cloud.client.send(body.replace(b"<?xml version='1.0'?>", document).replace(b"HERE", b"&e11;"))
    assert (answer.fault, answer.seconds < BOUND) == (-503, True)


@pytest.mark.parametrize("size", [1, 2**31 - 1, 2**31 + 10**6])
def test_lists_of_groups_are_bounded(cloud: Cloud, size: int) -> None:
    groups = [size] * min(size, 50_000)
    answer = cloud.client.call("one.user.allocate", f"u{size}", "secret", "", groups)
    assert answer.success == (size == 1)
    assert answer.seconds < BOUND


@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_a_template_that_does_not_parse_names_line_and_columns(cloud: Cloud, world: World, name: str) -> None:
    """For the methods that get to the template: with objects that are there."""
    arguments = world.arguments(name)
    place = next(
        place
        for place, param in enumerate(METHODS[name].params)
        if param.name in ("template", "quota", "extra") and param.type is Type.STRING
    )
    arguments[place] = 'GOOD = "1"\nBAD = [ A = "b" '
    answer = cloud.client.call(name, *arguments)
    assert not answer.success
    assert re.search(r"at line 2, columns \d+:\d+", answer.value), answer.value


@pytest.fixture(scope="module")
def world(cloud: Cloud) -> Iterator[World]:
    made = make_world(cloud.client, "hostile")
    yield made
    made.user.close()


DELETE = 3  # of one.vm.recover, in any state
BASE = "CPU=0.1\nMEMORY=1\n"
NETWORK = "NETWORK_ID=%(network)d"


def requirement(text: str) -> str:
    return BASE + 'SCHED_REQUIREMENTS="' + text.replace('"', '\\"') + '"'


HUGE = {
    "NICs": BASE + f"NIC=[{NETWORK}]\n" * 10_000,
    "aliases": BASE + f"NIC=[{NETWORK},NAME=a]\n" + f"NIC_ALIAS=[{NETWORK},PARENT=a]\n" * 10_000,
    "disks": BASE + "DISK=[IMAGE_ID=%(image)d]\n" * 10_000,
    "volatile disks": BASE + "DISK=[TYPE=fs,SIZE=1]\n" * 10_000,
    "boot order": BASE
    + "".join(f"DISK=[TYPE=fs,SIZE=1,TARGET=t{number}]\n" for number in range(3000))
    + f'OS=[BOOT="{",".join(f"disk{number % 3000}" for number in range(100_000))}"]',
    "variables": BASE + 'CONTEXT=[A="' + "$NAME " * 150_000 + '"]',
    "variables that bring much": BASE
    + f"NIC=[{NETWORK}]\n"
    + 'CONTEXT=[A="'
    + "$NETWORK[TEMPLATE,NETWORK_ID=%(network)d]" * 20_000
    + '"]',
    "open variables": BASE + 'CONTEXT=[A="' + "$A[" * 300_000 + '"]',
    "blanks in a variable": BASE + 'CONTEXT=[A="$A[' + " " * 900_000 + '"]',
    "open files": BASE + 'CONTEXT=[FILES_DS="' + "$FILE[" * 160_000 + '"]',
    "a long word in a file": BASE + 'CONTEXT=[FILES_DS="$FILE[' + "A" * 900_000 + ']"]',
    "a long word for a kernel": BASE + 'OS=[KERNEL_DS="$FILE[' + "AB" * 450_000 + ']"]',
    "security groups": BASE + f'NIC=[{NETWORK},SECURITY_GROUPS="{"0," * 450_000}"]',
    "parentheses": requirement("(" * 100_000),
    "a chain": requirement("A=1&" * 50_000 + "A=1"),
    "stars": requirement('NAME = "' + "*a" * 50_000 + 'b"'),
    "few stars": requirement('NAME = "' + "*a" * 100 + 'b"'),
    "brackets": requirement('NAME = "' + "[" * 100_000 + '"'),
    "question marks": requirement('NAME = "' + "?" * 100_000 + '"'),
    "a path": requirement('"' + "*/" * 60 + '*" @> 1'),
    "a rank": BASE + 'SCHED_RANK="' + "-" * 100_000 + '1"',
    "a long number": BASE + 'SCHED_RANK="' + "9" * 100_000 + '*NAME"',
}


@pytest.mark.parametrize("what", sorted(HUGE))
def test_a_vm_of_a_megabyte_holds_nobody_up(cloud: Cloud, world: World, what: str) -> None:
    """Hosts are there, so that requirements are looked at."""
    source = (
        HUGE[what] % {"network": world.network, "image": world.image} if "%(" in HUGE[what] else HUGE[what]
    )
    answer = cloud.client.call("one.vm.allocate", source, False)
    assert answer.success or refused_properly(answer), answer.value
    assert answer.seconds < BOUND
    after = cloud.client.call("one.system.version")
    assert after.seconds < BOUND
    if answer.success:
        cloud.client.ok("one.vm.recover", answer.value, DELETE)


def test_address_ranges_are_bounded_in_number_and_may_be_of_any_size(cloud: Cloud) -> None:
    net = "NAME={}\nVN_MAD=dummy\nBRIDGE=b\n"
    many = cloud.client.call("one.vn.allocate", net.format("many") + "AR=[TYPE=ETHER,SIZE=1]\n" * 10_000, -1)
    assert (many.success, many.seconds < BOUND) == (False, True)
    for size in ("16000000", "4294967295", "4294967296", "9" * 30, "-1", "0", "1e9"):
        answer = cloud.client.call(
            "one.vn.allocate",
            net.format(f"n{size[:12]}") + f"AR=[TYPE=ETHER,MAC=02:00:00:00:00:00,SIZE={size}]",
            -1,
        )
        assert answer.success or refused_properly(answer)
        assert answer.seconds < BOUND
        if answer.success:
            assert cloud.client.call("one.vn.info", answer.value).seconds < BOUND


def test_rules_of_security_groups_that_multiply_are_refused(cloud: Cloud, world: World) -> None:
    ranges = "AR=[TYPE=ETHER,SIZE=2]\n" * 1000
    wide = cloud.client.number("one.vn.allocate", f"NAME=wide\nVN_MAD=dummy\nBRIDGE=b\n{ranges}", -1)
    rules = f"RULE=[PROTOCOL=ALL,RULE_TYPE=INBOUND,NETWORK_ID={wide}]\n" * 10_000
    group = cloud.client.number("one.secgroup.allocate", f"NAME=product\n{rules}")
    source = f"{BASE}NIC=[NETWORK_ID={world.network},SECURITY_GROUPS={group}]"
    answer = cloud.client.call("one.vm.allocate", source, True)
    assert "have more than" in answer.value
    assert answer.seconds < BOUND


def test_random_templates_and_arguments_are_answered(cloud: Cloud, world: World, tmp_path: Path) -> None:
    """Known attributes with values that they do not expect, from an administrator and from a user."""
    seed = int(os.environ.get("MEROPE_HOSTILE_SEED", "1"))
    written = tmp_path / "calls"
    until, reached = time.monotonic() + SECONDS, Counter[str]()
    with written.open("w") as record:
        templates = Templates(random.Random(seed), world)
        calls = templates.calls(cloud.client, lambda: time.monotonic() > until)
        for number, (client, method, arguments) in enumerate(calls):
            record.write(f"{client.auth.partition(':')[0]} {method} {arguments!r}\n")
            answer = client.call(method, *arguments)
            assert answer.success or refused_properly(answer), f"seed {seed}: {method} {arguments!r} {answer}"
            assert answer.seconds < BOUND, f"seed {seed}: {answer.seconds:.1f} s: {method} {arguments!r}"
            reached[f"{method} {'done' if answer.success else 'refused'}"] += 1
            if number % RENEWED == RENEWED - 1:
                templates.world.user.close()
                templates.settle_in(make_world(cloud.client, f"hostile{seed}-{number}"))
    templates.world.user.close()
    (tmp_path / "reached").write_text("".join(f"{line} {times}\n" for line, times in sorted(reached.items())))
    assert reached.total()
