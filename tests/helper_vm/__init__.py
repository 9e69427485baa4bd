"""A virtual machine for tests that need what this machine's kernel lacks: real device-mapper, VLANs, iSCSI.

It is a stock Debian kernel under QEMU (emulated, so it runs anywhere) whose root is this machine's own file
system, read-only by 9p, under a layer in memory: the same programs, the same Python environment, the same
working directory, and whatever is done in it is gone when it is off. It boots in some four seconds.

    >>> from tests import helper_vm
    >>> helper_vm.run("modprobe dm_mod && ls /dev/mapper")
    Finished(code=0, output='control\\n', kept='')
    >>> helper_vm.run_pytest(["tests/drivers/transfer/test_lvm.py"])

A test that is to run in it says so: `@pytest.mark.helper_vm`. All such tests of a run go into one machine,
and each is reported as if it had run here (`plugin.py`); pytest needs some 15 s to start in it. From a shell:
`python -m tests.helper_vm COMMAND...`.
"""

from tests.helper_vm.machine import INSIDE, Finished, run, run_pytest, why_not

__all__ = ["INSIDE", "Finished", "run", "run_pytest", "why_not"]
