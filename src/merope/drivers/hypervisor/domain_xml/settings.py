"""What a VM's template says, over the defaults of the driver, and what the host adds."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.model.template import Template, TemplateError, Vector
from merope.model.vm import VM

DEFAULTS = """
# What a template leaves open, in its own language; a site's vmm_exec_kvm.conf is read over it.
VCPU = "1"
OS = [ ARCH = "x86_64", SD_DISK_BUS = "scsi" ]
FEATURES = [ PAE = "no", ACPI = "yes", APIC = "no", HYPERV = "no", LOCALTIME = "no", GUEST_AGENT = "no",
             VIRTIO_SCSI_QUEUES = "0" ]
DISK = [ DRIVER = "raw", CACHE = "none" ]
HYPERV_OPTIONS = "<relaxed state='on'/><vapic state='on'/><spinlocks state='on' retries='4096'/>"
SPICE_OPTIONS = "<video><model type='qxl' heads='1'/></video><sound model='ich6'/>
  <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>"
"""


@dataclass(frozen=True, slots=True)
class HostTraits:
    """What the host decides about a domain.

    `shares_per_cpu` is the weight of one CPU in the host's control groups, between the two `share_limits`:
    1024 in version 1, 100 in version 2, whose weights end at 10000.
    """

    domain_type: str = "kvm"
    emulator: str = ""
    shares_per_cpu: int = 1024
    share_limits: tuple[int, int] = (2, 262144)

    @property
    def emulated(self) -> bool:
        return self.domain_type == "qemu"


@cache
def built_in_defaults() -> Template:
    return Template.parse(DEFAULTS)


def read_defaults(path: Path) -> Template:
    """A site's defaults over the built-in ones; DriverError with file and line when they don't parse.

    An attribute that the site names replaces that attribute; the keys of a vector are replaced one by one.
    """
    try:
        site = Template.parse(path.read_text(encoding="utf-8"))
    except TemplateError as error:
        raise DriverError(f"{path}: {error}") from error
    merged = built_in_defaults().copy()
    for name, value in site.items():
        ours = merged.vector(name)
        if isinstance(value, Vector) and ours is not None:
            ours.update(value)
        else:
            merged.set(name, value)
    return merged


@dataclass(frozen=True, slots=True)
class Settings:
    """The VM's attributes as the driver sees them: the template's own, else the default's."""

    vm: VM
    system_dir: Path
    host: HostTraits
    defaults: Template = field(default_factory=built_in_defaults)

    def single(self, name: str) -> str:
        return self.vm.template.get(name) or self.defaults.get(name)

    def get(self, vector: str, key: str) -> str:
        """`VECTOR/KEY` of the first such vector; empty when neither the template nor the defaults have it."""
        return self.of(self.vm.template.vector(vector), vector, key)

    def of(self, item: Vector | None, vector: str, key: str) -> str:
        """`KEY` of one DISK, NIC … of the template."""
        own = item.get(key, "") if item is not None else ""
        default = self.defaults.vector(vector)
        return own or (default.get(key, "") if default is not None else "")

    def flag(self, vector: str, key: str) -> bool:
        return self.get(vector, key).upper() == "YES"

    def error(self, what: str) -> DriverError:
        return DriverError(f"VM {self.vm.id}: {what}")

    def integer(self, text: str, what: str, least: int = 0) -> int:
        """`text` as a number of at least `least`; `what` names the attribute in the error."""
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise self.error(f"{what} is '{text}', a whole number of at least {least} was expected")
        return value

    def decimal(self, text: str, what: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise self.error(f"{what} is '{text}', a positive number was expected")
        return value
