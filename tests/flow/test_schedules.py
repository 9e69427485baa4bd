"""Some of the random lives of services (`python -m tests.flow.schedules` has as many as one likes)."""

import pytest
from tests.flow import schedules


@pytest.mark.parametrize("seed", range(30))
def test_after_all_trouble_every_service_is_well_and_leaves_nothing(seed: int) -> None:
    schedules.run(seed)
