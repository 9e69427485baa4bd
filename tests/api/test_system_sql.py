"""SQL of an administrator: reading, and writing what the cloud can be made of."""

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.api.dispatch_harness import VM, Sandbox

from merope.model.errors import Code

CLUSTER = "SELECT body FROM cluster_pool WHERE oid = 0"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    made = Sandbox(tmp_path)
    await made.value("one.user.allocate", "ann", "secret", "", [0])
    await made.value("one.vm.allocate", VM, True)
    yield made
    await made.close()


async def rows(sandbox: Sandbox, statement: str) -> list[dict[str, str]]:
    document = ElementTree.fromstring(await sandbox.value("one.system.sqlquery", statement))
    assert document.tag == "SQL_COMMAND"
    assert document.findtext("QUERY") == statement
    return [{cell.tag: cell.text or "" for cell in row} for row in document.iterfind("RESULT/ROW")]


async def refused(sandbox: Sandbox, method: str, *arguments: str | bool, session: str = "") -> str:
    before = sandbox.state.index
    outcome = await sandbox.call(method, *arguments, session=session or "oneadmin:opennebula")
    assert outcome.code == (Code.AUTHORIZATION if session else Code.ACTION)
    assert sandbox.state.index == before
    return outcome.message


async def test_a_query_answers_rows_with_documents_in_base64(sandbox: Sandbox) -> None:
    found = await rows(sandbox, "SELECT oid, name, NULL AS empty FROM cluster_pool ORDER BY oid")
    assert found == [{"oid": "0", "name": "default", "empty": ""}]
    [row] = await rows(sandbox, CLUSTER)
    assert base64.b64decode(row["body64"]).decode() == sandbox.state.pools["cluster_pool"].entries[0].body


async def test_a_query_sees_what_was_just_changed(sandbox: Sandbox) -> None:
    await sandbox.value("one.cluster.rename", 0, "lab")
    assert await rows(sandbox, "SELECT name FROM cluster_pool") == [{"name": "lab"}]
    assert await rows(sandbox, "SELECT oid FROM vm_pool WHERE state = 9") == []


async def test_tables_can_be_joined_and_counted(sandbox: Sandbox) -> None:
    statement = (
        "SELECT COUNT(*) AS n FROM vm_pool v JOIN user_pool u ON v.uid = u.oid WHERE u.name = 'oneadmin'"
    )
    assert await rows(sandbox, statement) == [{"n": "1"}]


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "SELEC",
        "SELECT * FROM nowhere",
        "DELETE FROM vm_pool",
        "UPDATE vm_pool SET name = 'x'",
        "SELECT 1; SELECT 2",
        "ATTACH DATABASE '/etc/passwd' AS x",
        "PRAGMA database_list",
        "SELECT load_extension('x')",
        "CREATE TABLE x (y)",
        "SELECT zeroblob(1000000000)",
        "DROP TABLE vm_pool",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n ORDER BY i",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT COUNT(*) FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) "
        "SELECT printf('%.200000c', 'a') FROM n",
        "SELECT printf('%.5000000c', 'a') || printf('%.5000000c', 'a')",
        "SELECT hex(printf('%.8000000c', 'a'))",
        "SELECT replace(printf('%.4000000c', 'a'), 'a', 'aaa')",
        "SELECT trim(printf('%.4000000c', 'z'), printf('%.4000000c', 'a') || 'z')",
        "SELECT 1 WHERE printf('%.4000000c', 'a') LIKE printf('%.1000c', '%')",
        "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
        "SELECT json_patch('{}', '{}')",
        "SELECT CAST(x'ff' AS TEXT)",
        "SELECT fts3_tokenizer('x')",
        "VACUUM INTO '/tmp/x'",
        "SELECT \x00",
    ],
)
async def test_a_query_can_only_read(
    sandbox: Sandbox, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("merope.store.scratch._SECONDS", 0.2)
    await refused(sandbox, "one.system.sqlquery", statement)
    assert await rows(sandbox, "SELECT COUNT(*) AS n FROM vm_pool") == [{"n": "1"}]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT instr(printf('%.4000000c', 'a'), printf('%.2000000c', 'a') || 'b')",
        "SELECT length(replace(printf('%.4000000c', 'a'), printf('%.2000000c', 'a') || 'b', ''))",
        "SELECT length(trim(printf('%.4000000c', 'z'), 'abcdefghijklmnopqrstuvwxyz'))",
        "SELECT printf('%.4000000c', 'a') LIKE printf('%.200c', '%') || 'b'",
    ],
)
async def test_one_function_on_a_long_text_is_soon_done(sandbox: Sandbox, statement: str) -> None:
    began = time.process_time()
    assert len(await rows(sandbox, f"{statement} AS found")) == 1
    assert time.process_time() - began < 5


async def test_functions_of_texts_answer_what_sqlite_answers(sandbox: Sandbox) -> None:
    statement = (
        "SELECT instr('banana', 'nan') a, instr('b', 'x') b, instr(NULL, 'x') c, "
        "replace('banana', 'an', '-') d, replace('b', '', 'x') e, replace(12, 2, 3) f, "
        "trim('xxaxx', 'x') g, ltrim('xxa', 'x') h, "
        "rtrim('axx', 'x') i, trim(' a ') j"
    )
    [row] = await rows(sandbox, statement)
    assert "".join(f"{key}={value} " for key, value in row.items()) == (
        "a=3 b=0 c= d=b--a e=b f=13 g=a h=a i=a j=a "
    )


async def test_a_statement_changes_no_more_objects_than_the_cloud_can_wait_for(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("merope.core.system_sql.OBJECTS", 1)
    statement = "UPDATE user_pool SET body = REPLACE(body, '<ENABLED>1<', '<ENABLED>0<')"
    assert "changes 3 objects; 1 at most" in await refused(sandbox, "one.system.sql", statement, False)


async def test_a_document_that_is_changed_by_sql_is_the_object(sandbox: Sandbox) -> None:
    statement = "UPDATE cluster_pool SET body = REPLACE(body, '<NAME>default<', '<NAME>lab<') WHERE oid = 0"
    assert await sandbox.value("one.system.sql", statement, False) == 0
    assert "<NAME>lab</NAME>" in await sandbox.value("one.cluster.info", 0, False)
    assert await rows(sandbox, "SELECT name FROM cluster_pool") == [{"name": "lab"}]


async def test_a_statement_that_changes_nothing_writes_nothing(sandbox: Sandbox) -> None:
    before = sandbox.state.index
    assert await sandbox.value("one.system.sql", "UPDATE vm_pool SET name = name", False) == 0
    assert sandbox.state.index == before


async def test_figures_are_written_as_they_are(sandbox: Sandbox) -> None:
    statement = "INSERT INTO vm_showback VALUES (0, 2026, 1, '<SHOWBACK><VMID>0</VMID></SHOWBACK>')"
    assert await sandbox.value("one.system.sql", statement, False) == 0
    assert "<VMID>0</VMID>" in await sandbox.value("one.vmpool.showback", -2, -1, -1, -1, -1)
    await sandbox.value("one.system.sql", "DELETE FROM vm_showback", False)
    assert await sandbox.value("one.vmpool.showback", -2, -1, -1, -1, -1) == "<SHOWBACK_RECORDS/>"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM vm_pool", "cannot be deleted by SQL"),
        (
            "INSERT INTO cluster_pool SELECT 5, 'x', body, 0, 0, 1, 0, 0 FROM cluster_pool",
            "cannot be created by SQL",
        ),
        ("UPDATE cluster_pool SET body = '<CLUSTER>'", "not a CLUSTER document"),
        ("UPDATE cluster_pool SET body = REPLACE(body, '<ID>0</ID>', '<ID>7</ID>')", "says that it is 7"),
        ("UPDATE vm_pool SET body = REPLACE(body, '<STATE>', '<STATE>1')", "the state 12, 0, which means"),
        ("UPDATE datastore_pool SET body = REPLACE(body, '<TYPE>', '<TYPE>7')", "which means nothing"),
        ("UPDATE vm_pool SET body = '<VM><ID>0</ID></VM>'", "its permissions are missing"),
        ("UPDATE cluster_pool SET name = 'x'", "its document says another name"),
        ("UPDATE pool_control SET last_oid = 0", "cannot be written by SQL"),
        ("DELETE FROM acl", "cannot be written by SQL"),
        ("DELETE FROM merope_log", "cannot be written by SQL"),
        ("DROP TABLE vm_pool", "cannot be run"),
        ("UPDATE user_quotas SET body = 'x'", ""),
    ],
)
async def test_what_no_cloud_can_be_made_of_is_refused(sandbox: Sandbox, statement: str, words: str) -> None:
    if "user_quotas" in statement:
        await sandbox.value("one.user.quota", 2, "VM=[VMS=5]")
    assert words in await refused(sandbox, "one.system.sql", statement, False)


async def test_only_oneadmin_may(sandbox: Sandbox) -> None:
    await refused(sandbox, "one.system.sqlquery", "SELECT 1", session="ann:secret")
    await refused(sandbox, "one.system.sql", "DELETE FROM vm_showback", False, session="ann:secret")
