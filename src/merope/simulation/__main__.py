"""`python -m merope.simulation`."""

import sys

from merope.simulation import main

if __name__ == "__main__":
    sys.exit(main())
