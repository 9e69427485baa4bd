"""Tables in MariaDB and MySQL: made, or turned into what they must be when OpenNebula made them.

OpenNebula 5.12 lets the server choose character set and comparison. What its tables hold are the bytes of
UTF-8 whatever the table says: it speaks to the server in the character set that the database has.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pymysql

from merope.store.dialect import MYSQL
from merope.store.schema import TABLES
from merope.store.server import Connection, MakeTables

#: Comparisons byte by byte, with blanks at the end counting; the first that the server has.
_COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin")
_UNICODE = ("utf8mb4", "utf8mb3", "utf8")
_DUPLICATE_INDEX, _WRONG_TEXT = 1061, 1366
_TEXT_KINDS = ("char", "text")


def make_tables(connection: Connection, make_tables_of: MakeTables) -> list[str]:
    """See `Driver.make`. Each statement is committed by itself: servers of this kind know no other way."""
    collation = _collation(connection)
    done = _convert(connection, collation)
    make_tables_of(connection.run, f" ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}")
    for statement in MYSQL.indexes():
        try:
            connection.run(statement)
        except pymysql.MySQLError as error:
            if error.args[0] != _DUPLICATE_INDEX:
                raise
    return done


def _collation(connection: Connection) -> str:
    known = {row[0] for row in connection.rows("SELECT COLLATION_NAME FROM information_schema.COLLATIONS")}
    # MariaDB lists some under short names, for each character set that they go with.
    short = {name.partition("_")[2] for name in _COLLATIONS} & known
    return next(
        (name for name in _COLLATIONS if name in known or name.partition("_")[2] in short), _COLLATIONS[-1]
    )


def conversions(connection: Connection) -> dict[str, tuple[str, str, str]]:
    """Tables that are not as they must be → engine, character set, comparison."""
    wanted = _collation(connection)
    found = connection.rows(
        "SELECT TABLE_NAME, ENGINE, TABLE_COLLATION FROM information_schema.TABLES "
        "WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE='BASE TABLE'"
    )
    return {
        table: (engine or "", (collation or "").partition("_")[0], collation or "")
        for table, engine, collation in found
        if table in TABLES and (engine != "InnoDB" or collation != wanted)
    }


def selection(connection: Connection, table: str) -> str:
    """The columns of a table; texts as bytes where its character set is none of Unicode."""
    charset = conversions(connection).get(table, ("", "utf8mb4", ""))[1]
    if charset in _UNICODE:
        return ", ".join(TABLES[table].names)
    texts = {name for name, _ in _texts(connection, table)}
    return ", ".join(f"CONVERT({n} USING binary)" if n in texts else n for n in TABLES[table].names)


def _convert(connection: Connection, collation: str) -> list[str]:
    done: dict[str, list[str]] = {}
    for table, (engine, charset, current) in sorted(conversions(connection).items()):
        if engine != "InnoDB":
            connection.run(f"ALTER TABLE {table} ENGINE=InnoDB")
            done.setdefault(f"engine {engine} to InnoDB", []).append(table)
        if current == collation:
            continue
        if charset not in _UNICODE:
            with _without_full_text(connection, table), suppress(_NotUnicodeError):
                _take_as_unicode(connection, table, charset)
        connection.run(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
        _restore_kinds(connection, table)
        done.setdefault(f"texts from {current} to {collation}", []).append(table)
    return [f"Tables were changed, {what}: {', '.join(tables)}" for what, tables in done.items()]


@contextmanager
def _without_full_text(connection: Connection, table: str) -> Iterator[None]:
    """Columns of bytes cannot be searched in full: 5.12's index for that goes, and comes back."""
    found = connection.rows(
        "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS "
        "WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=%s AND INDEX_TYPE='FULLTEXT'",
        (table,),
    )
    for index, _ in found:
        connection.run(f"ALTER TABLE {table} DROP INDEX {index}")
    try:
        yield
    finally:
        for index, column in found:
            connection.run(f"ALTER TABLE {table} ADD FULLTEXT {index}({column})")


class _NotUnicodeError(Exception):
    """The table holds what its character set says, not the bytes of UTF-8."""


def _take_as_unicode(connection: Connection, table: str, charset: str) -> None:
    """Bytes stay as they are, and are read as UTF-8 from now on. Raises _NotUnicodeError: they are not."""
    columns = _texts(connection, table)
    if not columns:
        return
    binary = {name: kind.replace("varchar", "varbinary").replace("text", "blob") for name, kind in columns}
    raw = [f"MODIFY {name} {kind}" for name, kind in binary.items()]
    connection.run(f"ALTER TABLE {table} {', '.join(raw)}")
    try:
        text = [f"MODIFY {name} {kind} CHARACTER SET utf8mb4" for name, kind in columns]
        connection.run(f"ALTER TABLE {table} {', '.join(text)}")
    except pymysql.MySQLError as error:
        back = [f"MODIFY {name} {kind} CHARACTER SET {charset}" for name, kind in columns]
        connection.run(f"ALTER TABLE {table} {', '.join(back)}")
        if error.args[0] != _WRONG_TEXT:
            raise
        raise _NotUnicodeError(table) from error


def _texts(connection: Connection, table: str) -> list[tuple[str, str]]:
    return [
        (name, kind)
        for name, kind in connection.rows(
            "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS "
            "WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=%s",
            (table,),
        )
        if any(word in kind for word in _TEXT_KINDS)
    ]


def _restore_kinds(connection: Connection, table: str) -> None:
    """A conversion to wider characters makes texts longer (MEDIUMTEXT to LONGTEXT): which does no harm, and
    is undone where the layout names another kind."""
    wanted = dict(TABLES[table].columns)
    changed = [
        f"MODIFY {name} {wanted[name]}"
        for name, kind in _texts(connection, table)
        if name in wanted and wanted[name].lower() != kind.lower()
    ]
    if changed:
        connection.run(f"ALTER TABLE {table} {', '.join(changed)}")
