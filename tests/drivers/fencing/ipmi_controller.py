"""`python ipmi_controller.py PORT`: a BMC that speaks IPMI over LAN, by the library that virtualbmc is of.

Its machine is on. With `deaf` it takes orders and does not carry them out.
"""

import sys

from pyghmi.ipmi import bmc

USER, PASSWORD = "fence", "correct horse"


class Controller(bmc.Bmc):  # type: ignore[misc]
    def __init__(self, port: int, *, deaf: bool) -> None:
        super().__init__({USER: PASSWORD}, port=port, address="::ffff:127.0.0.1")
        self._power = "on"
        self._deaf = deaf

    def get_power_state(self) -> str:
        return self._power

    def power_off(self) -> None:
        if not self._deaf:
            self._power = "off"

    def is_active(self) -> bool:
        return self._power == "on"


if __name__ == "__main__":
    controller = Controller(int(sys.argv[1]), deaf="deaf" in sys.argv)
    print("ready", flush=True)
    controller.listen()
