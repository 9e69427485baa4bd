"""The services of a cloud, and when one that died is started again."""

import sys
from dataclasses import dataclass

# What a service ends with when its configuration is wrong (sysexits.h, EX_CONFIG): starting it again
# would end the same way.
BAD_CONFIGURATION = 78


@dataclass(frozen=True)
class Service:
    """A process that the supervisor keeps running: `command` is its argument vector without options.

    `port` names the option with its port. One that is `beside` the core is left out where that is 0.
    """

    name: str
    command: tuple[str, ...]
    port: str = ""
    beside: bool = False


def _of(*words: str) -> tuple[str, ...]:
    # -P: nothing is imported from the directory in which somebody called `one`.
    return (sys.executable, "-P", "-m", f"merope.daemon.{words[0]}", *words[1:])


# In the order in which they start; they stop in the opposite order.
SERVICES = (
    Service("core", _of("core"), "port"),
    Service("oneflow", _of("after_core", "oneflow"), "oneflow_port", beside=True),
    Service("onegate", _of("after_core", "onegate"), "onegate_port", beside=True),
)


@dataclass(frozen=True)
class Options:
    """How a cloud was started; services get the same options on their command line."""

    home: str
    port: int
    listen: str
    config: str | None = None
    drivers: str | None = None
    oneflow_port: int = 0
    onegate_port: int = 0

    def arguments(self) -> list[str]:
        given = {
            "--home": self.home,
            "--port": str(self.port),
            "--listen": self.listen,
            "--config": self.config,
            "--drivers": self.drivers,
            "--oneflow-port": str(self.oneflow_port) if self.oneflow_port > 0 else None,
            "--onegate-port": str(self.onegate_port) if self.onegate_port > 0 else None,
        }
        return [word for name, value in given.items() if value is not None for word in (name, value)]

    def port_of(self, service: Service) -> int | None:
        """None for a service that has none."""
        return int(getattr(self, service.port)) if service.port else None

    def runs(self, service: Service) -> bool:
        return not service.beside or (self.port_of(service) or 0) > 0

    @property
    def host(self) -> str:
        """The address as part of a URL, one that this machine can reach."""
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen, self.listen)  # noqa: S104  compared only
        return f"[{local}]" if ":" in local else local

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}/RPC2"


@dataclass(frozen=True)
class BackOff:
    """Seconds to wait before a service that died is started again.

    The wait doubles from `first` to `longest` with each death, and begins anew after a life of `stable`
    seconds: a crash now and then costs nothing, a service that cannot live costs no processor.
    """

    first: float = 0.05
    longest: float = 5.0
    stable: float = 3.0

    def next(self, previous: float, lived: float) -> float:
        """The wait after a life of `lived` seconds; `previous` is the wait before that life, 0 for none."""
        if lived >= self.stable or previous == 0:
            return self.first
        return min(previous * 2, self.longest)
