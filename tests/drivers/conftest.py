"""Contracts are imported by the tests of each implementation, and should explain their failures too."""

import pytest

pytest.register_assert_rewrite("tests.drivers.contract_hypervisor", "tests.drivers.contract_network")
