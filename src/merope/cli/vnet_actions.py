"""What `onevnet` does with address ranges and leases."""

import re

from merope.cli import values
from merope.cli.context import Context
from merope.cli.declare import Run, opt
from merope.cli.errors import CliError, UsageError
from merope.cli.vm_create import parsed
from merope.client import whole
from merope.model.template import Template, Vector

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)

#: Options and the attributes of an address range that they set.
_ATTRIBUTES = {
    "size": "SIZE",
    "mac": "MAC",
    "ip": "IP",
    "ip6": "IP6",
    "ip6_global": "GLOBAL_PREFIX",
    "ip6_ula": "ULA_PREFIX",
    "prefix_length": "PREFIX_LENGTH",
    "gateway": "GATEWAY",
    "netmask": "NETWORK_MASK",
    "vn_mad": "VN_MAD",
    "vlanid": "VLAN_ID",
}

RANGE_OPTIONS = (
    opt("--size", "size", "how many addresses", "-s", values.positive),
    opt("--mac", "mac", "the first MAC address", "-m"),
    opt("--ip", "ip", "the first IPv4 address", "-i"),
    opt("--ip6", "ip6", "the first IPv6 address", "-6"),
    opt("--prefix_length", "length", "the prefix length of --ip6", "", values.positive),
    opt("--ip6_global", "ip6_pref", "the global IPv6 prefix", "-g"),
    opt("--ip6_ula", "ip6_pref", "the unique local IPv6 prefix", "-u"),
    opt("--gateway", "ip", "the gateway of these addresses"),
    opt("--netmask", "mask", "the network mask of these addresses"),
    opt("--vn_mad", "mad", "the driver of these addresses"),
    opt("--vlanid", "id", "the VLAN of these addresses"),
)

#: Written by the cloud, so not to be edited.
_COMPUTED = re.compile(r"USED_LEASES|LEASES|\w+_END|IP6_(GLOBAL|ULA)")


def add_range(ctx: Context) -> None:
    text = ctx.read_template()
    if text is None:
        text = Template([("AR", range_from_options(ctx))]).to_text()
    ctx.client.call("one.vn.add_ar", ctx.oid(), text)


def has_range_options(ctx: Context) -> bool:
    return any(ctx.flag(option) for option in _ATTRIBUTES)


def range_from_options(ctx: Context) -> Vector:
    """The address range that RANGE_OPTIONS describe.  Raises UsageError without a size."""
    vector = Vector()
    for option, attribute in _ATTRIBUTES.items():
        if (value := ctx.option(option, object)) is not None:
            vector[attribute] = str(value)
    if "SIZE" not in vector:
        raise UsageError("--size or a template file must be given.")
    has_address = {"IP", "IP6", "GLOBAL_PREFIX", "ULA_PREFIX"} & vector.keys()
    vector["TYPE"] = _type(vector) if has_address else "ETHER"
    return vector


def _type(vector: Vector) -> str:
    if "IP6" in vector:
        return "IP4_6_STATIC" if "IP" in vector else "IP6_STATIC"
    prefixed = "GLOBAL_PREFIX" in vector or "ULA_PREFIX" in vector
    if "IP" in vector:
        return "IP4_6" if prefixed else "IP4"
    return "IP6"


def add_lease(ctx: Context) -> None:
    address = ctx.word("ip")
    vector = Vector({"SIZE": "1", **_address(address)})
    vector["TYPE"] = {"IP": "IP4", "IP6": "IP6_STATIC", "MAC": "ETHER"}[next(iter(_address(address)))]
    if mac := ctx.optional_word("mac"):
        vector["MAC"] = mac
    ctx.client.call("one.vn.add_ar", ctx.oid(), Template([("AR", vector)]).to_text())


def remove_range(ctx: Context) -> None:
    ctx.client.call("one.vn.rm_ar", ctx.oid(), ctx.number("ar_id"), ctx.flag("force"))


def remove_lease(ctx: Context) -> None:
    oid, address = ctx.oid(), ctx.word("ip")
    for ar in ctx.client.info("vnet", oid).iterfind("AR_POOL/AR"):
        if ar.findtext("SIZE") == "1" and address in (
            ar.findtext("IP"),
            ar.findtext("IP6"),
            ar.findtext("MAC"),
        ):
            ctx.client.call("one.vn.rm_ar", oid, whole(ar, "AR_ID"), False)
            return
    raise CliError(f"Network {oid} has no address range that is {address} alone.")


def free(ctx: Context) -> None:
    ctx.client.call("one.vn.free_ar", ctx.oid(), ctx.number("ar_id"), False)


def lease(method: str) -> Run:
    """hold or release of the address given."""

    def run(ctx: Context) -> None:
        template = Template([("LEASES", _address(ctx.word("ip")))])
        ctx.client.call(f"one.vn.{method}", ctx.oid(), template.to_text())

    return run


def _address(text: str) -> Vector:
    """The address under the name of its kind: IP, IP6 or MAC."""
    if _MAC.fullmatch(text):
        return Vector({"MAC": text})
    return Vector({"IP6" if ":" in text else "IP": text})


def reserve(ctx: Context) -> None:
    template = Template()
    for name in ("name", "size", "ar_id", "mac", "ip", "ip6"):
        if (value := ctx.option(name, object)) is not None:
            template.set(name, str(value))
    if (target := ctx.optional_oid("reservation", "vnet")) is not None:
        template.set("NETWORK_ID", str(target))
    if "SIZE" not in template:
        raise UsageError("--size must be given: how many addresses to reserve.")
    ctx.print_id(ctx.client.number("one.vn.reserve", ctx.oid(), template.to_text()))


def update_range(ctx: Context) -> None:
    oid, ar_id = ctx.oid(), ctx.number("ar_id")
    text = ctx.read_template()
    if text is None:
        ar = next(
            (
                a
                for a in ctx.client.info("vnet", oid).iterfind("AR_POOL/AR")
                if a.findtext("AR_ID") == str(ar_id)
            ),
            None,
        )
        if ar is None:
            raise CliError(f"Network {oid} has no address range {ar_id}.")
        now = Vector((e.tag, e.text or "") for e in ar if not _COMPUTED.fullmatch(e.tag))
        text = ctx.terminal.edit(Template([("AR", now)]).to_text())
    if text is None:
        return
    template = parsed(text)
    for vector in template.vectors("AR"):
        vector["AR_ID"] = str(ar_id)
    ctx.client.call("one.vn.update_ar", oid, template.to_text())


def orphans(ctx: Context) -> None:
    """Networks without leases that no template names."""
    ids: set[str] = set()
    names: set[tuple[str, str]] = set()
    for template in ctx.client.pool("template"):
        for nic in (*template.iterfind("TEMPLATE/NIC"), *template.iterfind("TEMPLATE/NIC_ALIAS")):
            if oid := nic.findtext("NETWORK_ID"):
                ids.add(oid)
            elif name := nic.findtext("NETWORK"):
                names.add((nic.findtext("NETWORK_UNAME", "") or template.findtext("UNAME", ""), name))
    for net in ctx.client.pool("vnet"):
        owned = (net.findtext("UNAME", ""), net.findtext("NAME", ""))
        if net.findtext("USED_LEASES", "0") == "0" and net.findtext("ID") not in ids and owned not in names:
            ctx.print(net.findtext("ID", ""))
