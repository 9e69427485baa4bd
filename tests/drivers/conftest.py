"""Contracts are imported by the tests of each implementation, and should explain their failures too."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.drivers.contract_hypervisor", "tests.drivers.contract_network")

# Examples touch files and start shells on machines that others use too: how long one takes says nothing.
settings.register_profile("drivers", deadline=None)
settings.load_profile("drivers")
