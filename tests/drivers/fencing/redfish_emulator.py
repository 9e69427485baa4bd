"""`python redfish_emulator.py CONFIG`: sushy-tools' emulator of Redfish with its fake systems, which obey
after a second instead of after up to eleven."""

import random
import sys

from sushy_tools.emulator import main

if __name__ == "__main__":
    random.randint = lambda *_: 1
    sys.argv = ["sushy-emulator", "--config", sys.argv[1], "--fake"]
    main.main()
