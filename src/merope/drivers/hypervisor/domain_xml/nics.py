"""Network interfaces."""

from xml.etree.ElementTree import Element

from merope.drivers.hypervisor.domain_xml.elements import add
from merope.drivers.hypervisor.domain_xml.settings import Settings
from merope.model.template import Vector

_BANDWIDTH = {
    "inbound": (("average", "INBOUND_AVG_BW"), ("peak", "INBOUND_PEAK_BW"), ("burst", "INBOUND_PEAK_KB")),
    "outbound": (("average", "OUTBOUND_AVG_BW"), ("peak", "OUTBOUND_PEAK_BW"), ("burst", "OUTBOUND_PEAK_KB")),
}
"""libvirt's KB/s and KB are the template's."""

_FILTER_PARAMETERS = {"IP": "IP", "MAC": "MAC"}


def add_nics(devices: Element, settings: Settings) -> None:
    for nic in settings.vm.template.vectors("NIC"):
        _add_nic(devices, settings, nic)


def _add_nic(devices: Element, settings: Settings, nic: Vector) -> None:
    interface = add(devices, "interface")
    _add_attachment(interface, settings, nic)
    if nic.get("MAC"):
        add(interface, "mac", address=nic["MAC"])
    if nic.get("TARGET") and interface.get("type") != "vhostuser":
        add(interface, "target", dev=nic["TARGET"])
    if nic.get("ORDER"):
        add(interface, "boot", order=nic["ORDER"])
    model = settings.of(nic, "NIC", "MODEL")
    if model:
        add(interface, "model", type=model)
    queues = settings.of(nic, "NIC", "VIRTIO_QUEUES")
    if queues and model == "virtio":
        add(interface, "driver", queues=str(settings.integer(queues, _named(nic, "VIRTIO_QUEUES"), least=1)))
    script = settings.of(nic, "NIC", "SCRIPT")
    if script:
        add(interface, "script", path=script)
    _add_filter(interface, settings, nic)
    _add_bandwidth(interface, settings, nic)


def _add_attachment(interface: Element, settings: Settings, nic: Vector) -> None:
    bridge = nic.get("BRIDGE", "")
    kind = nic.get("BRIDGE_TYPE", "").lower()
    if kind == "openvswitch_dpdk":
        interface.set("type", "vhostuser")
        add(
            interface,
            "source",
            type="unix",
            path=str(settings.system_dir / nic.get("TARGET", "")),
            mode="server",
        )
    elif not bridge or kind == "none":
        interface.set("type", "ethernet")
    else:
        interface.set("type", "bridge")
        add(interface, "source", bridge=bridge)
        if kind == "openvswitch":
            add(interface, "virtualport", type="openvswitch")
            _add_vlan(interface, settings, nic)


def _add_vlan(interface: Element, settings: Settings, nic: Vector) -> None:
    """The port is in its VLAN from the first packet; what else is said of VLANs the network driver sets."""
    if nic.get("VLAN_ID"):
        tag = settings.integer(nic["VLAN_ID"], _named(nic, "VLAN_ID"), least=0)
        add(add(interface, "vlan"), "tag", id=str(tag))


def _add_filter(interface: Element, settings: Settings, nic: Vector) -> None:
    name = settings.of(nic, "NIC", "FILTER")
    if name:
        reference = add(interface, "filterref", filter=name)
        for parameter, key in _FILTER_PARAMETERS.items():
            if nic.get(key):
                add(reference, "parameter", name=parameter, value=nic[key])


def _add_bandwidth(interface: Element, settings: Settings, nic: Vector) -> None:
    rates = {}
    for direction, keys in _BANDWIDTH.items():
        values = {
            name: str(settings.integer(settings.of(nic, "NIC", key), _named(nic, key), least=1))
            for name, key in keys
            if settings.of(nic, "NIC", key)
        }
        # libvirt wants the average wherever it gets a peak or a burst: alone, the peak is the average.
        if values and "average" not in values and "peak" in values:
            values["average"] = values["peak"]
        if "average" in values:
            rates[direction] = values
    if rates:
        bandwidth = add(interface, "bandwidth")
        for direction, values in rates.items():
            add(bandwidth, direction, **values)


def _named(nic: Vector, key: str) -> str:
    return f"NIC {nic.get('NIC_ID', '')}: {key}"
