"""Quotas: limits, counting, and the documents that show both."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.model.quota import METRICS, Key, QuotaError, Quotas, Usage, hundredths, sections_xml
from merope.model.template import Template

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "examples"

cpus = st.floats(0, 64, allow_nan=False)
amounts = st.integers(0, 10_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    usage = Usage()
    if draw(st.booleans()):
        usage.vm(vms=1, cpu=draw(cpus), memory=draw(amounts), running_cpu=draw(cpus))
    for oid in draw(st.lists(st.integers(0, 3), max_size=3)):
        usage.datastore(oid, images=1, size=draw(amounts)).network(oid).image(oid)
    return usage


def limited(text: str, *, is_default: bool = False) -> Quotas:
    quotas = Quotas(is_default)
    quotas.set_limits(Template.parse(text))
    return quotas


def recorded(name: str) -> ElementTree.Element:
    path = EXAMPLES / name
    if not path.exists():
        pytest.skip(f"{name} of ../shared/examples is not there")
    text = "".join(line.strip() for line in path.read_text().splitlines())
    return ElementTree.fromstring(text)


def flat(element: ElementTree.Element) -> list[tuple[str, str]]:
    return [(part.tag, part.text or "") for part in element.iter()]


@pytest.mark.parametrize("name", ["user.xml", "user-oneadmin.xml", "group.xml"])
def test_the_sections_of_a_recorded_owner_are_reproduced(name: str) -> None:
    owner = recorded(name)
    sections = [owner.find(f"{section}_QUOTA") for section in METRICS]
    ours = ElementTree.fromstring(Quotas.from_element(owner).to_document("QUOTAS"))
    assert [flat(section) for section in sections if section is not None] == [flat(part) for part in ours]


@pytest.mark.parametrize("name", ["user-quota.xml", "group-quota.xml"])
def test_recorded_defaults_are_reproduced(name: str) -> None:
    defaults = recorded(name)
    ours = Quotas.from_element(defaults, is_default=True).to_document(defaults.tag)
    assert flat(ElementTree.fromstring(ours)) == flat(defaults)


def test_values_are_written_in_character_sections_and_sorted_by_name() -> None:
    quotas = limited('NETWORK=[ID="0", LEASES="4"]')
    assert sections_xml(quotas) == (
        "<DATASTORE_QUOTA/><NETWORK_QUOTA><NETWORK><ID><![CDATA[0]]></ID><LEASES><![CDATA[4]]></LEASES>"
        "<LEASES_USED><![CDATA[0]]></LEASES_USED></NETWORK></NETWORK_QUOTA><VM_QUOTA/><IMAGE_QUOTA/>"
    )


def test_who_has_no_quotas_shows_four_empty_sections() -> None:
    assert sections_xml(None) == sections_xml(Quotas())
    assert sections_xml(None) == "<DATASTORE_QUOTA/><NETWORK_QUOTA/><VM_QUOTA/><IMAGE_QUOTA/>"


def test_the_stored_document_names_its_owner() -> None:
    assert Quotas().to_xml(7).startswith("<QUOTAS><ID>7</ID><DATASTORE_QUOTA/>")


def test_fractions_are_shown_with_two_decimals_and_whole_numbers_without() -> None:
    quotas = limited("VM=[CPU=2.5, MEMORY=1024]")
    quotas.add(Usage().vm(cpu=0.1))
    document = sections_xml(quotas)
    assert "<CPU><![CDATA[2.50]]></CPU><CPU_USED><![CDATA[0.10]]></CPU_USED>" in document
    assert "<MEMORY><![CDATA[1024]]></MEMORY><MEMORY_USED><![CDATA[0]]></MEMORY_USED>" in document


@given(st.lists(usages(), max_size=5))
def test_a_document_reads_back_as_the_same_quotas(taken: list[Usage]) -> None:
    quotas = limited("VM=[CPU=2.25,VMS=-2] DATASTORE=[ID=1,SIZE=0] DATASTORE=[ID=2,IMAGES=7]")
    for usage in taken:
        quotas.add(usage)
    assert Quotas.from_xml(quotas.to_xml(3)) == quotas


@given(
    st.lists(usages(), max_size=8).flatmap(lambda taken: st.tuples(st.just(taken), st.permutations(taken)))
)
def test_giving_back_what_was_taken_leaves_nothing_in_any_order(
    orders: tuple[list[Usage], list[Usage]],
) -> None:
    quotas = Quotas()
    for usage in orders[0]:
        assert quotas.check_and_add(usage) is None
    for usage in orders[1]:
        quotas.subtract(usage)
    assert quotas == Quotas()
    assert not quotas


def test_a_tenth_of_a_processor_taken_and_given_back_ten_thousand_times_leaves_zero() -> None:
    quotas = limited("VM=[CPU=5000]")
    for _ in range(10_000):
        quotas.add(Usage().vm(cpu=0.1))
    assert quotas.usage() == Usage().vm(cpu=1000)
    for _ in range(10_000):
        quotas.subtract(Usage().vm(cpu=0.1))
    assert quotas == limited("VM=[CPU=5000]")


@pytest.mark.parametrize(
    ("amount", "counted"),
    [(1, 100), (0.1, 10), (0.29, 29), (1.1, 110), (0.125, 13), (0.001, 1), (-0.125, -13), (0, 0), (1e-9, 0)],
)
def test_a_finer_fraction_counts_as_the_next_hundredth(amount: float, counted: int) -> None:
    assert hundredths(amount) == counted


@given(st.integers(0, 10**9))
def test_every_number_of_hundredths_counts_as_itself(number: int) -> None:
    assert hundredths(number / 100) == number


@given(usages(), usages())
def test_a_usage_less_another_is_what_lies_between_them(first: Usage, second: Usage) -> None:
    assert first + (second - first) == second
    assert not first - first


@pytest.mark.parametrize(
    ("limits", "usage", "sentence"),
    [
        ("VM=[VMS=0]", Usage().vm(vms=1), "limit of 0 reached for VMS quota in VM"),
        ("VM=[CPU=1.5]", Usage().vm(vms=1, cpu=1.51), "limit of 1.50 reached for CPU quota in VM"),
        ("VM=[MEMORY=9]", Usage().vm(memory=10), "limit of 9 reached for MEMORY quota in VM"),
        ("DATASTORE=[ID=5,SIZE=9]", Usage().datastore(5, size=10), "SIZE quota in DATASTORE with ID: 5"),
        ("DATASTORE=[ID=5,IMAGES=0]", Usage().datastore(5, images=1), "IMAGES quota in DATASTORE with ID: 5"),
        ("NETWORK=[ID=0,LEASES=2]", Usage().network(0, 3), "LEASES quota in NETWORK with ID: 0"),
        ("IMAGE=[ID=7,RVMS=1]", Usage().image(7).image(7), "RVMS quota in IMAGE with ID: 7"),
    ],
)
def test_what_breaks_a_limit_is_refused_with_the_limit_and_the_entry(
    limits: str, usage: Usage, sentence: str
) -> None:
    quotas = limited(limits)
    fault = quotas.check_and_add(usage)
    assert fault is not None
    assert fault.endswith(sentence)
    assert quotas == limited(limits)


def test_what_reaches_a_limit_exactly_is_let_in() -> None:
    quotas = limited("VM=[CPU=0.3]")
    for _ in range(3):
        assert quotas.check_and_add(Usage().vm(cpu=0.1)) is None
    assert quotas.check_and_add(Usage().vm(cpu=0.1)) is not None


def test_a_limit_finer_than_a_hundredth_lets_in_what_asks_for_the_same() -> None:
    quotas = limited("VM=[CPU=0.125]")
    assert quotas.check_and_add(Usage().vm(cpu=0.125)) is None
    assert quotas.check(Usage().vm(cpu=0.001)) == "limit of 0.13 reached for CPU quota in VM"


def test_nothing_is_counted_when_any_part_is_refused() -> None:
    quotas = limited("IMAGE=[ID=7,RVMS=0]")
    before = quotas.copy()
    assert quotas.check_and_add(Usage().vm(vms=1).network(0).image(7)) is not None
    assert quotas == before


def test_an_entry_of_another_id_does_not_limit() -> None:
    assert limited("NETWORK=[ID=0,LEASES=0]").check_and_add(Usage().network(1)) is None


def test_a_limit_of_its_own_goes_before_the_default() -> None:
    defaults = limited("VM=[VMS=1]", is_default=True)
    two = Usage().vm(vms=2)
    assert Quotas().check(two, defaults) == "limit of 1 reached for VMS quota in VM"
    assert limited("VM=[VMS=5]").check(two, defaults) is None
    assert limited("VM=[VMS=-2]").check(two, defaults) is None
    assert limited("VM=[CPU=5]").check(two, defaults) == "limit of 1 reached for VMS quota in VM"


def test_who_is_above_a_lowered_limit_can_still_ask_for_something_else_and_give_back() -> None:
    quotas = Quotas()
    quotas.add(Usage().vm(vms=2, cpu=4))
    quotas.set_limits(Template.parse("VM=[CPU=1]"))
    assert quotas.check_and_add(Usage().vm(vms=1)) is None
    assert quotas.check_and_add(Usage().vm(cpu=1) - Usage().vm(cpu=2)) is None
    assert quotas.check_and_add(Usage().vm(cpu=1)) is not None


@given(usages(), usages())
def test_use_never_falls_below_zero(first: Usage, second: Usage) -> None:
    quotas = Quotas()
    quotas.add(first)
    quotas.subtract(second)
    assert all(amount >= 0 for entry in quotas.usage().amounts.values() for amount in entry)


def test_an_entry_goes_when_nothing_is_used_nor_limited() -> None:
    quotas = limited("NETWORK=[ID=0,LEASES=4]")
    quotas.add(Usage().network(0))
    quotas.set_limits(Template.parse("NETWORK=[ID=0,LEASES=-1]"))
    assert quotas
    quotas.subtract(Usage().network(0))
    assert not quotas


def test_a_default_entry_goes_when_it_is_unlimited() -> None:
    defaults = limited("VM=[VMS=3]", is_default=True)
    defaults.set_limits(Template.parse("VM=[VMS=-2]"))
    assert not defaults


def test_a_metric_left_out_goes_back_to_the_default_and_use_stays() -> None:
    quotas = limited("VM=[VMS=3,CPU=4]")
    quotas.add(Usage().vm(vms=2))
    quotas.set_limits(Template.parse("VM=[CPU=8]"))
    assert quotas.check(Usage().vm(vms=50)) is None
    assert quotas.usage() == Usage().vm(vms=2)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("VM=[VMS=-3]", "VM = [ VMS=-3 ]"),
        ("VM=[CPU=-1.5]", "VM = [ CPU=-1.5 ]"),
        ("VM=[VMS=many]", "VM = [ VMS=many ]"),
        ("VM=[VMS=nan]", "VM = [ VMS=nan ]"),
        ("VM=[VMS=1e400]", "VM = [ VMS=1e400 ]"),
        (f"VM=[VMS={'9' * 5000}]", "VM = [ VMS=99"),
        ("VM=5", "VM = 5"),
        ("DATASTORE=[SIZE=5]", "DATASTORE = [ SIZE=5 ]"),
        ("DATASTORE=[ID=-4,SIZE=5]", "DATASTORE = [ ID=-4,SIZE=5 ]"),
        ("IMAGE=[RVMS=2,ID=x]", "IMAGE = [ ID=x,RVMS=2 ]"),
    ],
)
def test_a_bad_limit_is_refused_and_changes_nothing(text: str, shown: str) -> None:
    quotas = limited("NETWORK=[ID=0,LEASES=4]")
    before = quotas.copy()
    with pytest.raises(QuotaError) as error:
        quotas.set_limits(Template.parse(f"NETWORK=[ID=1,LEASES=1]\n{text}"))
    assert str(error.value).startswith(f"Negative limits or bad format in quota {shown}")
    assert quotas == before


def test_the_defaults_cannot_refer_to_the_defaults() -> None:
    with pytest.raises(QuotaError, match="bad format in quota VM"):
        limited("VM=[VMS=-1]", is_default=True)


@given(st.lists(usages(), max_size=4), st.lists(usages(), max_size=4))
def test_a_recount_replaces_use_and_keeps_limits(counted: list[Usage], recounted: list[Usage]) -> None:
    quotas = limited("VM=[VMS=3] IMAGE=[ID=1,RVMS=9]")
    for usage in counted:
        quotas.add(usage)
    truth = sum(recounted, Usage())
    quotas.replace_usage(truth)
    assert quotas.usage() == truth
    fresh = limited("VM=[VMS=3] IMAGE=[ID=1,RVMS=9]")
    fresh.add(truth)
    assert quotas.copy() == fresh


def test_a_copy_shares_nothing() -> None:
    quotas = limited("VM=[VMS=3]")
    quotas.copy().add(Usage().vm(vms=1))
    assert quotas == limited("VM=[VMS=3]")


def test_negative_use_of_an_older_database_counts_as_none() -> None:
    text = "<QUOTAS><ID>1</ID><VM_QUOTA><VM><CPU>-1</CPU><CPU_USED>-0.01</CPU_USED></VM></VM_QUOTA></QUOTAS>"
    assert not Quotas.from_xml(text).usage()


@pytest.mark.parametrize(
    "text", ["", "<QUOTAS>", "<Q><IMAGE_QUOTA><IMAGE><ID>x</ID></IMAGE></IMAGE_QUOTA></Q>"]
)
def test_a_damaged_stored_document_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not well-formed|needs the ID"):
        Quotas.from_xml(text)


def test_a_usage_tells_its_entries() -> None:
    usage = Usage().network(3).image(1, 0)
    assert repr(usage) == f"Usage({ {Key('NETWORK', 3): [100]} })"
