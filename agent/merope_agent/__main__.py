"""Runs from the directory that was copied to a host: `python3 merope_agent start`."""

import os
import sys

if not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from merope_agent.control import main

sys.exit(main(sys.argv[1:]))
