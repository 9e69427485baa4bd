"""The supervisor itself, with the stand-in instead of the core and little patience."""

import os
import sys
from pathlib import Path

from merope.daemon.service import BackOff, Service
from merope.daemon.supervisor import Supervisor, options_from

CORE = str(Path(__file__).with_name("standin_core.py"))
SERVICES = (Service("core", (sys.executable, CORE), "port"),)

if __name__ == "__main__":
    os.umask(0o077)
    options = options_from(sys.argv[1:])
    sys.exit(Supervisor(options, SERVICES, BackOff(0.01, 0.1, 60.0), patience=1.0).run())
