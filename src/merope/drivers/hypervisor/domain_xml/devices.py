"""The other devices: emulator, graphics, inputs, the guest agent's channel, PCI devices, the balloon."""

from xml.etree.ElementTree import Element

from merope.drivers.hypervisor.domain_xml.elements import add, parse_fragment
from merope.drivers.hypervisor.domain_xml.settings import Settings
from merope.model.template import Vector

_BALLOON_PERIOD = "10"
"""Seconds between two readings of what the guest uses of its memory."""

_GRAPHICS = {"VNC", "SPICE", "SDL"}


def add_devices(devices: Element, settings: Settings) -> None:
    emulator = settings.single("EMULATOR") or settings.host.emulator
    if emulator:
        devices.insert(0, Element("emulator"))
        devices[0].text = emulator
    for graphics in settings.vm.template.vectors("GRAPHICS"):
        _add_graphics(devices, settings, graphics)
    for item in settings.vm.template.vectors("INPUT"):
        if item.get("TYPE"):
            add(devices, "input", type=item["TYPE"].lower(), bus=item.get("BUS", "").lower())
    for device in settings.vm.template.vectors("PCI"):
        _add_pci(devices, settings, device)
    if settings.flag("FEATURES", "GUEST_AGENT"):
        channel = add(devices, "channel", type="unix")
        add(channel, "source", mode="bind")
        add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    add(add(devices, "memballoon", model="virtio"), "stats", period=_BALLOON_PERIOD)


def _add_graphics(devices: Element, settings: Settings, graphics: Vector) -> None:
    kind = settings.of(graphics, "GRAPHICS", "TYPE").upper()
    if not kind:
        return
    if kind not in _GRAPHICS:
        raise settings.error(f"GRAPHICS/TYPE is '{kind}', expected VNC, SPICE or SDL")
    if kind == "SDL":
        add(devices, "graphics", type="sdl")
        return
    port = settings.of(graphics, "GRAPHICS", "PORT")
    if port:
        settings.integer(port, "GRAPHICS/PORT", least=1)
    add(
        devices,
        "graphics",
        type=kind.lower(),
        port=port or "-1",
        autoport="" if port else "yes",
        listen=settings.of(graphics, "GRAPHICS", "LISTEN"),
        passwd=graphics.get("PASSWD", ""),
        keymap=settings.of(graphics, "GRAPHICS", "KEYMAP"),
    )
    if kind == "SPICE":
        devices.extend(
            parse_fragment(settings.single("SPICE_OPTIONS"), f"VM {settings.vm.id}: SPICE_OPTIONS")
        )


def _add_pci(devices: Element, settings: Settings, device: Vector) -> None:
    """A device of the host, given to the guest at the address that the core chose (hexadecimal)."""
    if not all(device.get(key) for key in ("BUS", "SLOT", "FUNCTION")):
        raise settings.error("a PCI device has no address on the host: BUS, SLOT and FUNCTION are needed")
    host = add(devices, "hostdev", mode="subsystem", type="pci", managed="yes")
    add(add(host, "source"), "address", **_pci_address(settings, device, ""))
    if device.get("VM_SLOT"):
        add(host, "address", type="pci", **_pci_address(settings, device, "VM_"))


def _pci_address(settings: Settings, device: Vector, prefix: str) -> dict[str, str]:
    address = {}
    for key in ("DOMAIN", "BUS", "SLOT", "FUNCTION"):
        text = device.get(prefix + key) or "0"
        try:
            address[key.lower()] = f"0x{int(text, 16):x}"
        except ValueError:
            raise settings.error(
                f"PCI/{prefix}{key} is '{text}', a hexadecimal number was expected"
            ) from None
    return address
