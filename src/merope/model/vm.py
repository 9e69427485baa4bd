"""Virtual machines and their history."""

from dataclasses import dataclass, field
from typing import Annotated
from xml.etree.ElementTree import Element

from merope.model.document import (
    Attributes,
    Cdata,
    Codec,
    Document,
    Integer,
    Layout,
    RepeatedAttributes,
    Text,
    document,
    new_template,
)
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions
from merope.model.phase import Phase, phase_of
from merope.model.template import Vector


@document("HISTORY")
@dataclass(slots=True)
class History(Document):
    """One stay of a VM on a host. Times are epochs, 0 while they have not come: `s`/`e` of the record,
    `ps`/`pe` of the prolog, `rs`/`re` of running, `es`/`ee` of the epilog."""

    oid: Integer
    seq: Integer
    hostname: Text
    hid: Integer
    cid: Integer
    stime: Integer
    etime: Integer = 0
    vm_mad: Cdata = ""
    tm_mad: Cdata = ""
    ds_id: Integer = -1
    pstime: Integer = 0
    petime: Integer = 0
    rstime: Integer = 0
    retime: Integer = 0
    estime: Integer = 0
    eetime: Integer = 0
    action: Integer = 0
    uid: Integer = -1
    gid: Integer = -1
    request_id: Text = "-1"


class _HistoryRecords(Codec[list[History]]):
    def write(self, tag: str, value: list[History]) -> str:
        return f"<{tag}>{''.join(item.to_xml() for item in value)}</{tag}>" if value else f"<{tag}/>"

    def read(self, elements: list[Element]) -> list[History]:
        return [History.from_element(child) for child in elements[0]] if elements else []


HistoryRecords = Annotated[list[History], _HistoryRecords()]


@document("VM")
@dataclass(slots=True)
class VM(Owned):
    """A virtual machine. `history_records` holds the last record; the closed ones are rows of their own."""

    permissions: PermissionBits = new_permissions()
    last_poll: Integer = 0
    state: Integer = 0
    lcm_state: Integer = 0
    prev_state: Integer = 0
    prev_lcm_state: Integer = 0
    resched: Integer = 0
    stime: Integer = 0
    etime: Integer = 0
    deploy_id: Text = ""
    lock: OptionalLock = None
    monitoring: Attributes = new_template()
    template: Attributes = new_template()
    user_template: Attributes = new_template()
    history_records: HistoryRecords = field(default_factory=list)
    snapshots: RepeatedAttributes = field(default_factory=list)

    @property
    def history(self) -> History | None:
        """The current (last) history record."""
        return self.history_records[-1] if self.history_records else None

    @property
    def phase(self) -> Phase:
        return phase_of(self.state, self.lcm_state)

    def disk(self, disk_id: int) -> Vector | None:
        wanted = str(disk_id)
        return next((disk for disk in self.template.vectors("DISK") if disk.get("DISK_ID") == wanted), None)

    def to_short_xml(self) -> str:
        """The document of `one.vmpool.info`: what a list shows."""
        lock = f"<LOCK><LOCKED>{self.lock.level}</LOCKED></LOCK>" if self.lock else ""
        parts = [f"<VM>{_HEADER.inner_xml(self)}{lock}<TEMPLATE>"]
        parts += [f"<{name}>{self.template.get(name)}</{name}>" for name in ("CPU", "MEMORY")]
        parts += [_selected("DISK", disk, _SHORT_DISK, ()) for disk in self.template.vectors("DISK")]
        nics = self.template.vectors("NIC") + self.template.vectors("NIC_ALIAS")
        nics.sort(key=lambda nic: int(nic.get("NIC_ID") or 0))
        parts += [_selected("NIC", nic, _SHORT_NIC, _SHORT_NIC_OPTIONAL) for nic in nics]
        parts += [self.template.xml_of("GRAPHICS"), "</TEMPLATE><MONITORING/>", "<USER_TEMPLATE>"]
        parts += [self.user_template.xml_of(*_SHORT_USER), "</USER_TEMPLATE>"]
        record = self.history
        if record is None:
            parts.append("<HISTORY_RECORDS/></VM>")
        else:
            parts.append(
                f"<HISTORY_RECORDS><HISTORY><OID>{record.oid}</OID><SEQ>{record.seq}</SEQ>"
                f"<HOSTNAME><![CDATA[{record.hostname}]]></HOSTNAME><HID>{record.hid}</HID>"
                f"<CID>{record.cid}</CID><DS_ID>{record.ds_id}</DS_ID>"
                f"<ACTION><![CDATA[{record.action}]]></ACTION></HISTORY></HISTORY_RECORDS></VM>"
            )
        return "".join(parts)


_SHORT_HEADER = (
    "ID",
    "UID",
    "GID",
    "UNAME",
    "GNAME",
    "NAME",
    "LAST_POLL",
    "STATE",
    "LCM_STATE",
    "RESCHED",
    "STIME",
    "ETIME",
    "DEPLOY_ID",
)
_SHORT_DISK = (
    "DISK_ID",
    "DATASTORE",
    "DATASTORE_ID",
    "IMAGE",
    "IMAGE_ID",
    "SIZE",
    "TYPE",
    "CLONE",
    "CLONE_TARGET",
    "LN_TARGET",
    "DISK_SNAPSHOT_TOTAL_SIZE",
)
_SHORT_NIC_OPTIONAL = (
    "IP",
    "IP6",
    "IP6_ULA",
    "IP6_LINK",
    "IP6_GLOBAL",
    "NETWORK_MODE",
    "SCHED_REQUIREMENTS",
    "SCHED_RANK",
)
_SHORT_NIC = ("MAC", "NETWORK", "NETWORK_ID", "NIC_ID", "SECURITY_GROUPS")
_SHORT_USER = (
    "LABELS",
    "SCHED_RANK",
    "SCHED_DS_RANK",
    "SCHED_REQUIREMENTS",
    "SCHED_DS_REQUIREMENTS",
    "USER_PRIORITY",
    "PUBLIC_CLOUD",
    "SCHED_ACTION",
)
_HEADER = Layout([field_ for field_ in VM.FIELDS if field_[1] in _SHORT_HEADER])


def _selected(tag: str, vector: Vector, always: tuple[str, ...], present: tuple[str, ...]) -> str:
    inner = "".join([f"<{key}><![CDATA[{vector[key]}]]></{key}>" for key in present if vector.get(key)])
    inner += "".join([f"<{key}><![CDATA[{vector.get(key, '')}]]></{key}>" for key in always])
    return f"<{tag}>{inner}</{tag}>"
