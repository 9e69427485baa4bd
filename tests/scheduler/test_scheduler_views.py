"""What a placement sees of documents."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from merope.model.expression import compile_rank, compile_requirements
from merope.model.states import DatastoreType
from merope.scheduler.views import (
    DATASTORE_PATHS,
    HOST_PATHS,
    DocumentView,
    cpu_percent,
    datastore_view_from_xml,
    host_view_from_xml,
    vm_request_from_xml,
)

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "examples"
recorded = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared/examples is not there")

HOST = """<HOST><ID>4</ID><NAME>n4</NAME><STATE>2</STATE><CLUSTER_ID>7</CLUSTER_ID><CLUSTER>edge</CLUSTER>
<HOST_SHARE><MEM_USAGE>100</MEM_USAGE><CPU_USAGE>50</CPU_USAGE><MAX_MEM>1000</MAX_MEM><MAX_CPU>400</MAX_CPU>
<RUNNING_VMS>2</RUNNING_VMS><DATASTORES><FREE_DISK>900</FREE_DISK>
<DS><FREE_MB>70</FREE_MB><ID>3</ID></DS><DS><FREE_MB>80</FREE_MB><ID>5</ID></DS></DATASTORES></HOST_SHARE>
<VMS><ID>8</ID><ID>11</ID></VMS>
<TEMPLATE><ARCH>x86_64</ARCH><ID>99</ID><LABELS>a,b</LABELS><NIC><MAC>m1</MAC><SPEED>10</SPEED></NIC>
<NIC><MAC>m2</MAC><SPEED>25</SPEED></NIC><TIER>gold</TIER><VOID/></TEMPLATE>
<MONITORING><TIMESTAMP>5</TIMESTAMP><CAPACITY><FREE_CPU>333</FREE_CPU></CAPACITY>
<SYSTEM><NETRX>1</NETRX></SYSTEM></MONITORING></HOST>"""
CLUSTER_TEMPLATE = "<TEMPLATE><TIER>silver</TIER><ZONE>north</ZONE></TEMPLATE>"


@pytest.fixture
def view() -> DocumentView:
    host = host_view_from_xml(HOST, CLUSTER_TEMPLATE)
    assert host is not None
    assert isinstance(host.attributes, DocumentView)
    return host.attributes


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ARCH", ["x86_64"]),
        ("RUNNING_VMS", ["2"]),
        ("FREE_CPU", ["333"]),
        ("NETRX", ["1"]),
        ("CLUSTER", ["edge"]),
        ("ID", ["4", "99"]),
        ("TIER", ["gold", "silver"]),
        ("ZONE", ["north"]),
        ("VOID", [""]),
        ("TIMESTAMP", []),
        ("NONE", []),
        ("VMS/ID", ["8", "11"]),
        ("CURRENT_VMS", ["8", "11"]),
        ("NIC/SPEED", ["10", "25"]),
        ("NIC[MAC='m2']/SPEED", ["25"]),
        ("NIC[2]/MAC", ["m2"]),
        ("NIC[last()]/MAC", ["m2"]),
        ("NIC[MAC]/SPEED", ["10", "25"]),
        ("NIC/*", ["m1", "10", "m2", "25"]),
        ("NIC[0]/MAC", []),
        ("NIC[999999]", []),
        ("NIC[count(//*)]", []),
        ("TEMPLATE/TIER", ["gold"]),
        ("HOST_SHARE/DATASTORES/DS/ID", ["3", "5"]),
        ("DATASTORES/DS/ID", ["3", "5"]),
        ("/HOST/TEMPLATE/ARCH", ["x86_64"]),
        ("/HOST/MONITORING/TIMESTAMP", ["5"]),
        ("/VM/ID", []),
        ("/", []),
        ("//ID", []),
        ("NIC[", []),
        ("NIC[@", []),
        ("two words", []),
        ("", []),
        ("..", []),
    ],
)
def test_a_name_finds(view: DocumentView, name: str, values: list[str]) -> None:
    assert view.all(name) == values
    assert view.first(name) == (values[0] if values else None)


def test_expressions_see_a_host(view: DocumentView) -> None:
    text = '(CLUSTER_ID = 7) & !(PUBLIC_CLOUD = YES) & ID = 4 & CURRENT_VMS != 9 & LABELS = "*b*" & ZONE = n*'
    assert compile_requirements(text.replace("n*", '"n*"')).matches(view)
    assert compile_rank("FREE_CPU - RUNNING_VMS * 100").value(view) == 133


def test_a_host_has_its_capacity() -> None:
    host = host_view_from_xml(HOST)
    assert host is not None
    assert (host.id, host.cluster_id, host.running_vms, host.vm_ids) == (4, 7, 2, frozenset({8, 11}))
    assert (host.free_cpu, host.free_memory) == (350, 900)
    assert (host.free_disk, host.ds_free) == (900, {3: 70, 5: 80})
    assert not host.public_cloud


@pytest.mark.parametrize(
    ("state", "enabled"), [(0, False), (1, True), (2, True), (3, False), (4, False), (8, False)]
)
def test_only_monitored_hosts_take_vms(state: int, enabled: bool) -> None:
    document = HOST.replace("<STATE>2</STATE>", f"<STATE>{state}</STATE>")
    assert (host_view_from_xml(document) is not None) is enabled


def test_a_public_cloud_is_known_by_its_template() -> None:
    host = host_view_from_xml(HOST.replace("<TIER>", "<PUBLIC_CLOUD>yes</PUBLIC_CLOUD><TIER>"))
    assert host is not None
    assert host.public_cloud


DATASTORE = """<DATASTORE><ID>3</ID><TYPE>1</TYPE><STATE>0</STATE><CLUSTERS><ID>0</ID><ID>5</ID></CLUSTERS>
<TOTAL_MB>1000</TOTAL_MB><FREE_MB>600</FREE_MB><USED_MB>400</USED_MB>
<TEMPLATE><TM_MAD>ssh</TM_MAD></TEMPLATE></DATASTORE>"""


def with_template(attributes: str) -> str:
    return DATASTORE.replace("<TEMPLATE>", f"<TEMPLATE>{attributes}")


def test_a_datastore_has_its_clusters_and_space() -> None:
    view = datastore_view_from_xml(DATASTORE)
    assert view is not None
    assert (view.id, view.cluster_ids, view.free, view.shared, view.monitored) == (
        3,
        frozenset({0, 5}),
        600,
        True,
        True,
    )
    assert compile_requirements('("CLUSTERS/ID" @> 5) & (TM_MAD = "ssh")').matches(view.attributes)
    assert not compile_requirements('"CLUSTERS/ID" @> 4').matches(view.attributes)


@pytest.mark.parametrize(("limit", "free"), [(450, 50), (400, 0), (10, 0), (2000, 1600)])
def test_limit_mb_counts_from_what_is_used(limit: int, free: int) -> None:
    view = datastore_view_from_xml(with_template(f"<LIMIT_MB>{limit}</LIMIT_MB>"))
    assert view is not None
    assert view.free == free


def test_a_datastore_without_figures_has_not_been_monitored() -> None:
    view = datastore_view_from_xml("<DATASTORE><ID>0</ID><TYPE>1</TYPE><STATE>0</STATE></DATASTORE>")
    assert view is not None
    assert not view.monitored


def test_a_datastore_may_be_local_to_hosts() -> None:
    view = datastore_view_from_xml(with_template("<SHARED>NO</SHARED>"))
    assert view is not None
    assert not view.shared


def test_datastores_of_another_kind_or_disabled_are_left_out() -> None:
    image = DATASTORE.replace("<TYPE>1", "<TYPE>0")
    assert datastore_view_from_xml(image) is None
    assert datastore_view_from_xml(image, DatastoreType.IMAGE_DS) is not None
    assert datastore_view_from_xml(DATASTORE.replace("<STATE>0", "<STATE>1")) is None
    assert datastore_view_from_xml(DATASTORE, DatastoreType.IMAGE_DS) is None


def vm_document(
    state: int = 1, lcm: int = 0, resched: int = 0, template: str = "", user: str = "", history: str = ""
) -> str:
    records = f"<HISTORY_RECORDS>{history}</HISTORY_RECORDS>" if history else "<HISTORY_RECORDS/>"
    return (
        f"<VM><ID>6</ID><UID>2</UID><GID>3</GID><STATE>{state}</STATE><LCM_STATE>{lcm}</LCM_STATE>"
        f"<RESCHED>{resched}</RESCHED><TEMPLATE><CPU>0.5</CPU><MEMORY>256</MEMORY>{template}</TEMPLATE>"
        f"<USER_TEMPLATE>{user}</USER_TEMPLATE>{records}</VM>"
    )


def record(action: int) -> str:
    return f"<HISTORY><HID>4</HID><DS_ID>100</DS_ID><ACTION>{action}</ACTION></HISTORY>"


def test_a_pending_vm_asks_for_its_capacity() -> None:
    vm = vm_request_from_xml(vm_document())
    assert vm is not None
    assert (vm.id, vm.uid, vm.gid, vm.cpu, vm.memory) == (6, 2, 3, 50, 256 * 1024)
    assert (vm.resched, vm.keep_datastore, vm.priority, vm.public_cloud) == (False, None, 0.0, False)


@pytest.mark.parametrize(
    ("state", "lcm", "resched", "wanted"),
    [
        (1, 0, 0, True),
        (2, 0, 0, False),
        (3, 3, 0, False),
        (3, 3, 1, True),
        (3, 16, 1, True),
        (3, 1, 1, False),
        (8, 0, 1, True),
        (8, 0, 0, False),
        (4, 0, 1, False),
    ],
)
def test_pending_vms_and_those_to_be_moved_want_a_host(
    state: int, lcm: int, resched: int, wanted: bool
) -> None:
    vm = vm_request_from_xml(vm_document(state, lcm, resched, history=record(0)))
    assert (vm is not None) is wanted


def test_a_vm_that_is_moved_leaves_its_host_and_keeps_its_datastore() -> None:
    vm = vm_request_from_xml(vm_document(3, 3, 1, history=record(0)))
    assert vm is not None
    assert (vm.resched, vm.current_host, vm.keep_datastore) == (True, 4, 100)


@pytest.mark.parametrize(("action", "kept"), [(0, None), (1, None), (9, 100), (5, 100), (6, 100)])
def test_a_stopped_or_undeployed_vm_keeps_its_datastore(action: int, kept: int | None) -> None:
    vm = vm_request_from_xml(vm_document(history=record(action)))
    assert vm is not None
    assert vm.keep_datastore == kept


def test_expressions_come_from_the_template_and_the_user() -> None:
    vm = vm_request_from_xml(
        vm_document(
            template="<AUTOMATIC_REQUIREMENTS>A = 1</AUTOMATIC_REQUIREMENTS>"
            "<AUTOMATIC_DS_REQUIREMENTS>B = 1</AUTOMATIC_DS_REQUIREMENTS>",
            user="<SCHED_REQUIREMENTS>C = 1</SCHED_REQUIREMENTS>"
            "<SCHED_DS_REQUIREMENTS>D = 1</SCHED_DS_REQUIREMENTS>"
            "<RANK>OLD</RANK><SCHED_DS_RANK>E</SCHED_DS_RANK><USER_PRIORITY>2.5</USER_PRIORITY>",
        )
    )
    assert vm is not None
    assert (vm.automatic_requirements, vm.requirements, vm.rank) == ("A = 1", "C = 1", "OLD")
    assert (vm.automatic_ds_requirements, vm.ds_requirements, vm.ds_rank) == ("B = 1", "D = 1", "E")
    assert vm.priority == 2.5


@pytest.mark.parametrize(
    ("disk", "system", "image"),
    [
        ("<TYPE>fs</TYPE><SIZE>10</SIZE>", 10, ()),
        ("<TYPE>swap</TYPE><SIZE>10</SIZE>", 10, ()),
        (
            "<CLONE>YES</CLONE><CLONE_TARGET>SYSTEM</CLONE_TARGET><SIZE>10</SIZE><DATASTORE_ID>1</DATASTORE_ID>",
            10,
            (),
        ),
        (
            "<CLONE>YES</CLONE><CLONE_TARGET>SELF</CLONE_TARGET><SIZE>10</SIZE><DATASTORE_ID>1</DATASTORE_ID>",
            0,
            ((1, 10),),
        ),
        (
            "<CLONE>NO</CLONE><LN_TARGET>SYSTEM</LN_TARGET><SIZE>10</SIZE><DATASTORE_ID>1</DATASTORE_ID>",
            10,
            (),
        ),
        (
            "<CLONE>NO</CLONE><LN_TARGET>NONE</LN_TARGET><CLONE_TARGET>SELF</CLONE_TARGET><SIZE>10</SIZE>",
            0,
            (),
        ),
        ("<TYPE>fs</TYPE><SIZE>10</SIZE><DISK_SNAPSHOT_TOTAL_SIZE>5</DISK_SNAPSHOT_TOTAL_SIZE>", 15, ()),
        ("<TYPE>fs</TYPE><SIZE>much</SIZE>", 0, ()),
    ],
)
def test_a_disk_takes_space(disk: str, system: int, image: tuple[tuple[int, int], ...]) -> None:
    vm = vm_request_from_xml(vm_document(template=f"<DISK>{disk}</DISK>"))
    assert vm is not None
    assert (vm.system_disk, vm.image_space) == (system, image)


def test_memory_may_count_in_the_system_datastore() -> None:
    vm = vm_request_from_xml(vm_document(), memory_scale=1.5)
    assert vm is not None
    assert vm.system_disk == 384


@pytest.mark.parametrize("section", ["PUBLIC_CLOUD", "EC2"])
def test_a_section_for_a_public_cloud_is_seen(section: str) -> None:
    vm = vm_request_from_xml(vm_document(user=f"<{section}><TYPE>ec2</TYPE></{section}>"))
    assert vm is not None
    assert vm.public_cloud


@pytest.mark.parametrize("value", ["", "a lot", "nan", "inf", "1e999"])
def test_a_priority_that_is_no_number_is_none(value: str) -> None:
    vm = vm_request_from_xml(vm_document(user=f"<USER_PRIORITY>{value}</USER_PRIORITY>"))
    assert vm is not None
    assert vm.priority == 0.0


def test_every_hundredth_of_a_cpu_counts_as_one_percent() -> None:
    assert [cpu_percent(float(f"{i / 100:.2f}")) for i in range(1000)] == list(range(1000))
    assert cpu_percent(0.125) == 12


@recorded
def test_recorded_documents_give_views() -> None:
    host = host_view_from_xml((EXAMPLES / "host.xml").read_text())
    assert host is not None
    assert (host.id, host.free_cpu, host.free_memory, host.free_disk) == (1, 750, 16515072, 2038280)
    assert host.attributes.first("FREE_CPU") == "720"
    store = datastore_view_from_xml((EXAMPLES / "datastore-system.xml").read_text())
    assert store is not None
    assert (store.id, store.free, store.shared) == (0, 3333260, True)
    pending = (EXAMPLES / "vm-held.xml").read_text().replace("<STATE>2</STATE>", "<STATE>1</STATE>", 1)
    vm = vm_request_from_xml(pending)
    assert vm is not None
    assert (vm.cpu, vm.memory, vm.system_disk, vm.rank) == (50, 256 * 1024, 80, "FREE_MEMORY")
    assert compile_requirements(vm.automatic_requirements).matches(host.attributes)
    assert compile_requirements(vm.automatic_ds_requirements).matches(store.attributes)


def test_lookup_paths_are_those_of_5_12() -> None:
    root = ElementTree.fromstring("<DATASTORE><ID>1</ID><TEMPLATE><ID>2</ID></TEMPLATE></DATASTORE>")
    assert DocumentView(root, DATASTORE_PATHS).all("ID") == ["1", "2"]
    assert HOST_PATHS[-1] == "CLUSTER_TEMPLATE"
