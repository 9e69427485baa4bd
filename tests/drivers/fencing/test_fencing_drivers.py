"""Every fencing driver against a controller of its kind: it switches off, and reads back that it has.

Redfish: sushy-tools' emulator, over TLS. IPMI: a BMC of pyghmi, and the real ipmitool. Both are started
here, on loopback. An executable and a fence agent are scripts.
"""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import FencingDriver, Power, Target, switched_off
from merope.drivers.fencing.command import CommandFencing
from merope.drivers.fencing.executable import ExecutableFencing
from merope.drivers.fencing.ipmi import IpmiFencing
from merope.drivers.fencing.redfish import RedfishFencing
from merope.drivers.simulated.fencing import SimulatedFencing
from merope.drivers.simulated.world import World

HERE = Path(__file__).parent
USER, PASSWORD = "fence", "correct horse"
SYSTEM = "27946b59-9e44-4fa7-8e91-f3527a1ef094"


@dataclass
class Case:
    """A driver, and a target whose machine is on."""

    driver: FencingDriver
    target: Target

    def off(self) -> Power:
        return switched_off(self.driver, self.target, lambda _: time.sleep(0.2))

    def other(self, **attributes: str) -> Target:
        return replace(self.target, attributes={**self.target.attributes, **attributes})


def target(**attributes: str) -> Target:
    return Target("node7", 7, attributes)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def ipmi(directory: Path, *more: str) -> Iterator[Case]:
    if shutil.which("ipmitool") is None or find_spec("pyghmi") is None:
        pytest.skip("needs ipmitool and pyghmi (scripts/setup.sh all)")
    port = free_port(socket.SOCK_DGRAM)
    with running(str(HERE / "ipmi_controller.py"), str(port), *more) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        where = {"ADDRESS": "127.0.0.1", "PORT": str(port), "PRIVILEGE": "ADMINISTRATOR"}
        yield Case(IpmiFencing(), target(USER=USER, PASSWORD=PASSWORD, **where))


@contextmanager
def redfish(directory: Path) -> Iterator[Case]:
    if find_spec("sushy_tools") is None or find_spec("bcrypt") is None:
        pytest.skip("needs sushy-tools (scripts/setup.sh all)")
    import bcrypt

    port = free_port()
    certificate, key = _certificate(directory)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (directory / "htpasswd").write_text(f"{USER}:{hashed}\n")
    (directory / "state").mkdir()
    system = {"uuid": SYSTEM, "name": "fake", "power_state": "On", "nics": [], "external_notifier": False}
    settings = {
        "SUSHY_EMULATOR_LISTEN_IP": "127.0.0.1",
        "SUSHY_EMULATOR_LISTEN_PORT": port,
        "SUSHY_EMULATOR_SSL_CERT": str(certificate),
        "SUSHY_EMULATOR_SSL_KEY": str(key),
        "SUSHY_EMULATOR_AUTH_FILE": str(directory / "htpasswd"),
        "SUSHY_EMULATOR_STATE_DIR": str(directory / "state"),
        "SUSHY_EMULATOR_FAKE_SYSTEMS": [system],
    }
    (directory / "emulator.conf").write_text(
        "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    )
    with running(str(HERE / "redfish_emulator.py"), str(directory / "emulator.conf")):
        _until_it_listens(port)
        where = {"ADDRESS": f"https://127.0.0.1:{port}", "CA_FILE": str(certificate)}
        yield Case(RedfishFencing(), target(USER=USER, PASSWORD=PASSWORD, **where))


def _certificate(directory: Path) -> tuple[Path, Path]:
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        [
            *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=b".split(),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def _until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail("the emulator of Redfish did not come up")


@contextmanager
def executable(directory: Path) -> Iterator[Case]:
    """Notes what it was given, and keeps its machine's power in a file."""
    (directory / "power").write_text("on")
    script = directory / "pdu"
    script.write_text(
        f"#!/bin/sh\nbase64 -d > {directory}/given\ncase $1 in\noff) echo -n off > {directory}/power ;;\n"
        f"status) cat {directory}/power ;;\n*) exit 1 ;;\nesac\n"
    )
    script.chmod(0o755)
    yield Case(ExecutableFencing(script), target(PASSWORD=PASSWORD, SOCKET="3"))


@contextmanager
def command(directory: Path) -> Iterator[Case]:
    """A fence agent: options on standard input, the power as the exit status."""
    (directory / "power").write_text("on")
    script = directory / "fence_pdu"
    script.write_text(
        f"#!/bin/sh\ncat > {directory}/given\ncase $(grep ^action= {directory}/given) in\n"
        f"action=off) echo -n off > {directory}/power ;;\n"
        f"action=status) grep -q on {directory}/power || exit 2 ;;\n*) exit 1 ;;\nesac\n"
    )
    script.chmod(0o755)
    given = {"COMMAND": "fence_pdu", "ADDRESS": "pdu1", "USER": USER, "PASSWORD": PASSWORD, "PLUG": "7"}
    yield Case(CommandFencing((directory,)), target(**given))


@contextmanager
def simulated(directory: Path) -> Iterator[Case]:
    world = World()
    world.add_host("node7")
    yield Case(SimulatedFencing(world), target())


CASES = {each.__name__: each for each in (ipmi, redfish, executable, command, simulated)}
OVER_THE_NETWORK = ("ipmi", "redfish")


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=OVER_THE_NETWORK)
def controller(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with CASES[request.param](tmp_path) as made:
        yield made


# The contract


@pytest.mark.runs("fencing/ipmi", "power_off", "power_state")
@pytest.mark.runs("fencing/redfish", "power_off", "power_state")
def test_a_host_that_is_on_is_switched_off_and_reads_back_as_off_as_often_as_asked(case: Case) -> None:
    assert case.driver.power_state(case.target) is Power.ON
    assert case.off() is Power.OFF
    assert case.driver.power_state(case.target) is Power.OFF
    case.driver.power_off(case.target)
    assert case.off() is Power.OFF


def test_a_wrong_password_is_refused_and_shown_nowhere(controller: Case) -> None:
    wrong = controller.other(PASSWORD="wrong and secret")
    with pytest.raises(DriverError) as caught:
        controller.driver.power_off(wrong)
    assert "wrong and secret" not in str(caught.value)
    assert "wrong and secret" not in repr(wrong)
    assert controller.driver.power_state(controller.target) is Power.ON


def test_a_controller_that_does_not_answer_is_an_error(controller: Case) -> None:
    address = "https://127.0.0.1:9" if "https" in controller.target.get("ADDRESS") else "127.0.0.1"
    if isinstance(controller.driver, IpmiFencing):
        controller.driver.tries = 1
    with pytest.raises(DriverError):
        controller.driver.power_state(controller.other(ADDRESS=address, PORT="9"))


# What is particular


def test_a_controller_that_takes_orders_and_does_nothing_is_found_out(tmp_path: Path) -> None:
    with ipmi(tmp_path, "deaf") as case:
        case.driver.looks = 1
        assert case.off() is Power.ON


def test_the_password_of_ipmi_is_in_no_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in the place of ipmitool notes its arguments and the password in its environment."""
    fake = tmp_path / "ipmitool"
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/argv\necho "$IPMI_PASSWORD" > {tmp_path}/env\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    IpmiFencing().power_off(target(ADDRESS="bmc7", USER=USER, PASSWORD=PASSWORD))
    assert PASSWORD not in (tmp_path / "argv").read_text()
    assert (tmp_path / "env").read_text() == f"{PASSWORD}\n"


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({}, "has no ADDRESS"),
        ({"ADDRESS": "-oProxy=x"}, "is no address or name"),
        ({"ADDRESS": "bmc;reboot"}, "is no address or name"),
        ({"ADDRESS": "bmc", "PORT": "many"}, "PORT in FENCING of host node7 must be a number"),
        ({"ADDRESS": "bmc", "INTERFACE": "open"}, "INTERFACE must be one of lanplus, lan"),
        ({"ADDRESS": "bmc", "PRIVILEGE": "root"}, "PRIVILEGE one of"),
    ],
)
def test_what_ipmi_cannot_use_is_said(attributes: dict[str, str], sentence: str) -> None:
    with pytest.raises(DriverError, match=sentence):
        IpmiFencing().power_state(target(**attributes))


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"ADDRESS": "bmc7"}, "must be a URL"),
        ({"ADDRESS": "http://bmc7"}, "must begin with https"),
        ({"ADDRESS": "https://127.0.0.1:9", "CA_FILE": "/nowhere.pem"}, "CA_FILE .* cannot be read"),
        ({"ADDRESS": "https://127.0.0.1:9", "SYSTEM": "/a b"}, "is no path"),
        ({"ADDRESS": "https://127.0.0.1:port"}, "has no valid port"),
    ],
)
def test_what_redfish_cannot_use_is_said(attributes: dict[str, str], sentence: str) -> None:
    with pytest.raises(DriverError, match=sentence):
        RedfishFencing().power_state(target(**attributes))


def test_a_certificate_that_nobody_has_signed_is_not_trusted_unless_one_says_so(tmp_path: Path) -> None:
    with redfish(tmp_path) as case:
        with pytest.raises(DriverError, match="its certificate is not to be trusted"):
            case.driver.power_state(case.other(CA_FILE=""))
        assert case.driver.power_state(case.other(CA_FILE="", VERIFY="NO")) is Power.ON
        system = case.other(SYSTEM=SYSTEM)
        assert case.driver.power_state(system) is Power.ON
        with pytest.raises(DriverError, match="answered 404"):
            case.driver.power_state(case.other(SYSTEM="nobody"))


@pytest.mark.runs("fencing/executable", "power_off", "power_state")
def test_an_executable_is_given_the_host_and_its_fencing(tmp_path: Path) -> None:
    with executable(tmp_path) as case:
        case.driver.power_off(case.target)
    given = (tmp_path / "given").read_text()
    assert "<HOST><ID>7</ID><NAME><![CDATA[node7]]></NAME></HOST>" in given
    assert "<SOCKET><![CDATA[3]]></SOCKET>" in given


def test_what_an_executable_says_besides_is_unknown(tmp_path: Path) -> None:
    with executable(tmp_path) as case:
        (tmp_path / "power").write_text("perhaps")
        assert case.driver.power_state(case.target) is Power.UNKNOWN


@pytest.mark.runs("fencing/command", "power_off")
def test_a_fence_agent_reads_its_options_from_its_input(tmp_path: Path) -> None:
    with command(tmp_path) as case:
        case.driver.power_off(case.target)
    lines = (tmp_path / "given").read_text().splitlines()
    assert lines == ["action=off", "ip=pdu1", f"password={PASSWORD}", "plug=7", f"username={USER}"]


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({}, "has no COMMAND"),
        ({"COMMAND": "../../bin/sh"}, "is no fence agent"),
        ({"COMMAND": "fence_none"}, "there is no fence_none in"),
        ({"COMMAND": "fence_pdu", "PLUG": "1\naction=on"}, "PLUG in FENCING of host node7 must be one line"),
    ],
)
def test_what_is_no_fence_agent_is_not_run(tmp_path: Path, attributes: dict[str, str], sentence: str) -> None:
    with command(tmp_path) as case, pytest.raises(DriverError, match=sentence):
        case.driver.power_off(target(**attributes))


def test_name_and_id_of_a_host_stand_for_themselves_but_not_in_passwords() -> None:
    shared = target(ADDRESS="bmc-$NAME", PLUG="$ID", PASSWORD="a$NAME")
    assert (shared.address(), shared.get("PLUG"), shared.secret("PASSWORD")) == ("bmc-node7", "7", "a$NAME")
