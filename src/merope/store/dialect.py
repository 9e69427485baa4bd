"""What databases call things: types, statements. One layout (schema), three ways to say it.

Statements are written with `?` for a parameter, and translated for drivers that want `%s`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from merope.store.schema import INDEXES, TABLES


@dataclass(frozen=True)
class Dialect:
    """One kind of database. `types` translates those of the schema that it does not know by that name.

    `on_key`: whether an insert can be told to replace the row with the same primary key, and only that.
    """

    name: str
    types: tuple[tuple[str, str], ...] = ()
    mark: str = "?"
    on_key: bool = True
    if_no_index: str = "IF NOT EXISTS "

    def create(self, table: str, suffix: str = "") -> str:
        """The statement that makes a table where there is none; `suffix` says how it is kept."""
        declared, types = TABLES[table], dict(self.types)
        single = len(declared.key) == 1
        columns = [
            f"{column} {types.get(kind, kind)}{' PRIMARY KEY' if single and column in declared.key else ''}"
            for column, kind in declared.columns
        ]
        keys = [] if single else [f"PRIMARY KEY({', '.join(declared.key)})"]
        inside = ", ".join([*columns, *keys, *declared.constraints])
        return f"CREATE TABLE IF NOT EXISTS {table} ({inside}){suffix}"

    def indexes(self) -> Iterator[str]:
        for index, (table, columns) in INDEXES.items():
            yield f"CREATE INDEX {self.if_no_index}{index} ON {table}({', '.join(columns)})"

    def replaces(self, table: str) -> bool:
        """Whether `put` replaces the row of the same key; else that is to be deleted first.

        MySQL's ON DUPLICATE KEY acts on every unique key: it would write one object over another that has
        its name.
        """
        return self.on_key or not TABLES[table].constraints

    def put(self, table: str) -> str:
        """Writes a row whole; parameters in the order of the columns."""
        return _put(table, self.mark, self.on_key)

    def delete(self, table: str) -> str:
        """Removes the row of a key; parameters in the order of the key's columns."""
        condition = " AND ".join(f"{column}={self.mark}" for column in TABLES[table].key)
        return f"DELETE FROM {table} WHERE {condition}"  # noqa: S608 - names of TABLES

    def delete_many(self, table: str, count: int) -> str:
        """Removes the rows of `count` keys."""
        key = TABLES[table].key
        one = self.mark if len(key) == 1 else f"({', '.join([self.mark] * len(key))})"
        left = key[0] if len(key) == 1 else f"({', '.join(key)})"
        return f"DELETE FROM {table} WHERE {left} IN ({', '.join([one] * count)})"  # noqa: S608 - names of TABLES

    def translated(self, statement: str) -> str:
        """A statement with `?` as this database's driver wants it. No `?` may stand in a text of it."""
        return statement if self.mark == "?" else _percent(statement)


@cache
def _put(table: str, mark: str, on_key: bool) -> str:
    declared = TABLES[table]
    marks = ", ".join([mark] * len(declared.names))
    into = f"INSERT INTO {table} ({', '.join(declared.names)}) VALUES ({marks})"  # noqa: S608 - names of TABLES
    rest = [column for column in declared.names if column not in declared.key]
    if not on_key:
        if declared.constraints:
            return into
        changed = ", ".join(f"{c}=VALUES({c})" for c in rest or declared.key)
        return f"{into} ON DUPLICATE KEY UPDATE {changed}"
    action = f"UPDATE SET {', '.join(f'{c}=excluded.{c}' for c in rest)}" if rest else "NOTHING"
    return f"{into} ON CONFLICT({', '.join(declared.key)}) DO {action}"


@cache
def _percent(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")


SQLITE = Dialect("sqlite")
MYSQL = Dialect("mysql", mark="%s", on_key=False, if_no_index="")
_TEXTS = (("MEDIUMTEXT", "TEXT"), ("LONGTEXT", "TEXT"))
POSTGRESQL = Dialect(
    "postgresql",
    # 2^64-1 is a value of 5.12's log; its truth values are written as numbers.
    types=(*_TEXTS, ("BIGINT UNSIGNED", "NUMERIC(20)"), ("BOOLEAN", "SMALLINT")),
    mark="%s",
)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (SQLITE, MYSQL, POSTGRESQL)}
