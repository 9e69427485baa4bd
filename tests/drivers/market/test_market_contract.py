"""What every marketplace driver promises, tried with each of them."""

import hashlib
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.drivers.crash import crash_points

from merope.drivers.errors import DriverError
from merope.drivers.market.base import Content, MarketDriver
from merope.drivers.market.executable import ExecutableMarket
from merope.drivers.market.http import HttpMarket
from merope.drivers.registry import Kind, market, names
from merope.drivers.simulated.market import SimulatedMarket
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.template import Template

BASE = "http://apps.example/files"
#: A driver of somebody else's: each script keeps the content under the app's id.
SCRIPTS = {
    "import": (
        'data=$(printf %s "$1" | base64 -d)\n'
        'source=$(printf %s "$data" | sed -n "s:.*<IMPORT_SOURCE><!.CDATA.\\([^]]*\\).*:\\1:p")\n'
        'md5=$(printf %s "$data" | sed -n "s:.*</MARKETPLACEAPP>.*<MD5><!.CDATA.\\([^]]*\\).*:\\1:p")\n'
        'cp "$source" "$(dirname "$0")/../../shelf/$2"\n'
        f'printf \'SOURCE="{BASE}/%s"\\nMD5="%s"\\nSIZE="3"\\nFORMAT="raw"\\n\' "$2" "$md5"\n'
    ),
    "delete": 'rm -f "$(dirname "$0")/../../shelf/$2"\n',
    "monitor": 'printf \'TOTAL_MB="10"\\nFREE_MB="6"\\nUSED_MB="4"\\nAPP="TkFNRT1hCg=="\\n\'\n',
}


@dataclass(frozen=True)
class Case:
    driver: MarketDriver
    market: Marketplace
    content: Content
    shelf: Path | None

    def app(self, number: int = 5, source: str = "") -> MarketplaceApp:
        app = MarketplaceApp(number, 0, 0, "oneadmin", "oneadmin", f"app-{number}")
        app.regtime, app.source = 100 + number, source
        return app

    def held(self) -> set[bytes]:
        return set() if self.shelf is None else {path.read_bytes() for path in self.shelf.iterdir()}


def executable(path: Path) -> ExecutableMarket:
    directory = path / "market" / "mine"
    directory.mkdir(parents=True)
    for name, script in SCRIPTS.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}")
        (directory / name).chmod(0o755)
    return ExecutableMarket(directory)


MAKERS: dict[str, Callable[[Path], MarketDriver]] = {
    "http": lambda path: HttpMarket(),
    "executable": executable,
    "simulated": lambda path: SimulatedMarket(),
}


@pytest.fixture(params=MAKERS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    image = tmp_path / "image"
    image.write_bytes(b"boot" * 300_000)
    place = Template([("BASE_URL", f"{BASE}/"), ("PUBLIC_DIR", str(shelf))])
    market = Marketplace(100, 0, 0, "oneadmin", "oneadmin", "shelf", template=place)
    kept = None if request.param == "simulated" else shelf
    return Case(MAKERS[request.param](tmp_path), market, Content(image, 3, "raw"), kept)


@pytest.mark.runs("market/http", "offer")
@pytest.mark.runs("market/executable", "offer")
def test_what_is_offered_can_be_had_and_is_what_it_is_said_to_be(case: Case) -> None:
    offer = case.driver.offer(case.app(), case.market, case.content)
    assert offer.source.startswith(f"{BASE}/")
    assert (offer.size, offer.image_format) == (3, "raw")
    if case.shelf is not None:
        [held] = case.held()
        assert hashlib.md5(held).hexdigest() == offer.md5
        assert held == case.content.path.read_bytes()


def test_offering_again_answers_the_same_and_keeps_one_copy(case: Case) -> None:
    first = case.driver.offer(case.app(), case.market, case.content)
    assert case.driver.offer(case.app(), case.market, case.content) == first
    assert case.shelf is None or len(list(case.shelf.iterdir())) == 1


def test_apps_have_contents_of_their_own(case: Case) -> None:
    one, two = (case.driver.offer(case.app(number), case.market, case.content) for number in (1, 2))
    assert one.source != two.source
    case.driver.remove(case.app(1, one.source), case.market)
    assert case.shelf is None or len(list(case.shelf.iterdir())) == 1


@pytest.mark.runs("market/http", "remove")
@pytest.mark.runs("market/executable", "remove")
def test_removing_takes_the_content_away_and_can_be_done_again(case: Case) -> None:
    offer = case.driver.offer(case.app(), case.market, case.content)
    for _ in range(2):
        case.driver.remove(case.app(source=offer.source), case.market)
    assert case.held() == set()


def test_what_was_offered_and_never_answered_is_removed_too(case: Case) -> None:
    case.driver.offer(case.app(), case.market, case.content)
    case.driver.remove(case.app(), case.market)
    assert case.held() == set()


@pytest.mark.runs("market/http", "monitor")
@pytest.mark.runs("market/executable", "monitor")
def test_the_capacity_is_told_in_mb(case: Case) -> None:
    reading = case.driver.monitor(case.market)
    assert reading.total >= reading.used >= 0
    assert reading.total >= reading.free >= 0


# What is particular to one of them.


@pytest.fixture
def http(tmp_path: Path) -> Case:
    shelf, image = tmp_path / "public", tmp_path / "disk"
    shelf.mkdir()
    image.write_bytes(b"x" * 5000)
    place = Template([("BASE_URL", BASE), ("PUBLIC_DIR", str(shelf))])
    market = Marketplace(100, 0, 0, "oneadmin", "oneadmin", "shelf", template=place)
    return Case(HttpMarket(), market, Content(image, 1, "raw"), shelf)


def test_the_web_server_may_read_what_is_offered(http: Case) -> None:
    http.driver.offer(http.app(), http.market, http.content)
    assert http.shelf is not None
    [path] = http.shelf.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_crash_while_it_is_offered_leaves_nothing_half_done(http: Case) -> None:
    def offer() -> None:
        http.driver.offer(http.app(), http.market, http.content)

    def take_back() -> None:
        http.driver.remove(http.app(), http.market)

    shelf = http.shelf
    assert shelf is not None
    points = 0
    for _ in crash_points(offer, take_back):
        points += 1
        whole = {path.read_bytes() for path in shelf.iterdir() if not path.name.startswith(".")}
        assert whole <= {http.content.path.read_bytes()}
        offer()
        assert len(list(shelf.iterdir())) == 1
    assert points


@pytest.mark.parametrize(
    "source", [f"{BASE}/../../etc/passwd", f"{BASE}/a/b", "http://elsewhere/x", f"{BASE}/"]
)
def test_a_source_that_is_elsewhere_leads_to_no_other_file(http: Case, source: str) -> None:
    assert http.shelf is not None
    other = http.shelf / "x"
    other.write_bytes(b"of somebody else")
    http.driver.remove(http.app(source=source), http.market)
    assert other.exists()


def test_an_app_of_5_12s_is_removed_by_the_name_in_its_source(http: Case) -> None:
    assert http.shelf is not None
    old = http.shelf / "0123abc"
    old.write_bytes(b"old")
    http.driver.remove(http.app(source=f"{BASE}/0123abc"), http.market)
    assert not old.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_DIR", "relative"),
        ("PUBLIC_DIR", "/nowhere/at/all"),
        ("BASE_URL", "ftp://x"),
        ("BRIDGE_LIST", "h"),
    ],
)
def test_a_marketplace_that_cannot_be_served_is_refused(http: Case, name: str, value: str) -> None:
    http.market.template.set(name, value)
    with pytest.raises(DriverError, match=name):
        http.driver.offer(http.app(), http.market, http.content)


def test_the_clouds_own_directory_is_no_marketplace(http: Case) -> None:
    assert http.shelf is not None
    with pytest.raises(DriverError, match="the cloud's own files"):
        HttpMarket(protected=(http.shelf / "home",)).monitor(http.market)


def test_secrets_of_a_marketplace_are_no_argument_of_an_executable(tmp_path: Path) -> None:
    driver = executable(tmp_path)
    seen = tmp_path / "seen"
    script = f'#!/bin/sh\n{{ echo "$1" | base64 -d; echo; base64 -d; }} > {seen}\n'
    (tmp_path / "market" / "mine" / "monitor").write_text(script)
    place = Template([("ACCESS_KEY_ID", "me"), ("SECRET_ACCESS_KEY", "hush-hush")])
    driver.monitor(Marketplace(100, 0, 0, "oneadmin", "oneadmin", "shelf", template=place))
    argument, given = seen.read_text().split("\n")
    assert "hush-hush" not in argument
    assert "<ACCESS_KEY_ID><![CDATA[me]]>" in argument
    assert "hush-hush" in given


@pytest.mark.parametrize("printed", ["TOTAL_MB=x", "[[["])
def test_what_an_executable_prints_is_checked(tmp_path: Path, printed: str) -> None:
    driver = executable(tmp_path)
    (tmp_path / "market" / "mine" / "monitor").write_text(f"#!/bin/sh\necho '{printed}'\n")
    with pytest.raises(DriverError):
        driver.monitor(Marketplace(100, 0, 0, "oneadmin", "oneadmin", "shelf"))


def test_an_executable_that_is_missing_or_fails_is_told(tmp_path: Path) -> None:
    driver = executable(tmp_path)
    place = Marketplace(100, 0, 0, "oneadmin", "oneadmin", "shelf")
    (tmp_path / "market" / "mine" / "monitor").write_text("#!/bin/sh\necho no luck >&2; exit 3\n")
    with pytest.raises(DriverError, match="no luck"):
        driver.monitor(place)
    (tmp_path / "market" / "mine" / "monitor").unlink()
    with pytest.raises(DriverError, match="has no executable monitor"):
        driver.monitor(place)


def test_marketplace_drivers_are_found_by_name() -> None:
    assert {"http", "dummy"} <= set(names(Kind.MARKET))
    assert market("http") is HttpMarket
    with pytest.raises(DriverError, match="there is no market driver 's4'"):
        market("s4")
