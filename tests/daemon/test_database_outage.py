"""A whole cloud whose database server is killed under load, and started again."""

import pytest
from bench import database_outage
from tests.store import servers


@pytest.mark.parametrize("backend", ["mysql", "postgresql"])
def test_nothing_acknowledged_is_lost_and_writes_go_on_by_themselves(
    backend: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with servers.of_its_own(backend) as server:
        home = tmp_path_factory.mktemp("outage") / "home"
        figures = database_outage.rounds(server, home, count=2, clients=3, down=2.5)
    assert figures.rounds == 2
    assert figures.acknowledged > 20
    assert figures.refused > 0, "the server was not away long enough to show anything"
    assert figures.lost == []
    assert figures.extra == []
    assert figures.findings == []
    assert figures.failed_reads == 0
    assert figures.reads_while_away > 0
    assert max(figures.again_seconds) < 10
