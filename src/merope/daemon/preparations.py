"""What some methods need to have found out before their command runs: in threads, from drivers, in tables."""

import asyncio
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

from merope.api.dispatch import Prepare
from merope.api.login import hash_password
from merope.core import accounting, vm_requests
from merope.core.showback import span_fault
from merope.core.system_sql import rows_xml
from merope.core.transaction import Caller, Transaction
from merope.daemon import records, showback
from merope.daemon.local_time import local_zone
from merope.engine.cloud import Cloud, Inputs, NotDurable
from merope.engine.job import Answer
from merope.engine.polling import Prober
from merope.model.document import escape
from merope.model.errors import ApiError
from merope.model.marketplace_app import MarketplaceApp
from merope.model.state import Entry
from merope.model.states import VmState
from merope.model.template import Template, TemplateError
from merope.model.vm_search import Query
from merope.store import scratch
from merope.store.sql import SqlStore

T = TypeVar("T")

_STAT_SECONDS = 120.0
Prepared = dict[str, str | int]
Arguments = Mapping[str, Any]

#: Columns that say who may see a VM.
_VISIBILITY = ("oid", "name", "uid", "gid", "owner_u", "group_u", "other_u", "state", "lcm_state")
_FIGURES = {"vm_monitoring": ("vmid", "last_poll"), "host_monitoring": ("hid", "last_mon_time")}


class Measured(Protocol):
    """What was measured, on its way to the database."""

    async def written(self) -> None:
        """Returns when what was measured until now is there."""
        ...


class Preparations:
    """One per process. Each answers with what its method's command finds in `context.prepared`."""

    def __init__(
        self, cloud: Cloud, prober: Prober, store: SqlStore, threads: Executor, measured: Measured
    ) -> None:
        self._cloud = cloud
        self._prober = prober
        self._store = store
        self._threads = threads
        self._measured = measured

    @property
    def table(self) -> dict[str, Prepare]:
        """By the name that methods give (`Method.prepare`)."""
        return {
            "password": self.password,
            "image.stat": self.image_size,
            "vm.monitoring": self.vm_monitoring,
            "vmpool.monitoring": self.vm_pool_monitoring,
            "host.monitoring": self.host_monitoring,
            "hostpool.monitoring": self.host_pool_monitoring,
            "vmpool.accounting": self.accounting,
            "system.sql": self.sql,
            "system.sqlquery": self.sql_query,
            "vmpool.search": self.search,
            "vmpool.showback": self.showback,
            "vmpool.calculateshowback": self.calculate_showback,
        }

    async def password(self, arguments: Arguments, caller: Caller) -> Prepared:  # noqa: ARG002 - a Prepare
        if not arguments["password"]:
            return {}
        cost = self._cloud.settings.password_kdf_cost
        loop = asyncio.get_running_loop()
        return {
            "password": await loop.run_in_executor(self._threads, hash_password, arguments["password"], cost)
        }

    async def image_size(self, arguments: Arguments, caller: Caller) -> Prepared:  # noqa: ARG002 - a Prepare
        """Asks the datastore's driver how large what PATH names will be."""
        try:
            path = self._path(Template.parse(arguments["template"]))
        except TemplateError:
            return {}
        entry = self._cloud.state.pools["datastore_pool"].entries.get(arguments["ds"])
        if not path or entry is None:
            return {}
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        request = {"probe": "stat", "datastore": entry.body, "path": path}
        handle = self._prober.probe(request, _STAT_SECONDS, done)
        try:
            answer = await future
        except asyncio.CancelledError:
            handle.cancel()
            raise
        return {"size": int(answer.data["size"])} if answer.ok else {"error": answer.message}

    def _path(self, template: Template) -> str:
        """What an image is made of: its PATH, or that of the app that it names if that has no size."""
        stated = template.get("FROM_APP")
        if not stated:
            return template.get("PATH")
        number = vm_requests.whole(stated)
        pool = self._cloud.state.pools["marketplaceapp_pool"]
        app = None if number is None else pool.parsed(number)
        return app.source if isinstance(app, MarketplaceApp) and not app.size else ""

    # Figures

    async def vm_monitoring(self, arguments: Arguments, caller: Caller) -> Prepared:  # noqa: ARG002 - a Prepare
        rows = await self._figures("vm_monitoring", -1, arguments["id"])
        return await self._in_thread(lambda: _joined(rows))

    async def host_monitoring(self, arguments: Arguments, caller: Caller) -> Prepared:  # noqa: ARG002 - a Prepare
        rows = await self._figures("host_monitoring", -1, arguments["id"])
        return await self._in_thread(lambda: _joined(rows))

    async def vm_pool_monitoring(self, arguments: Arguments, caller: Caller) -> Prepared:
        visible = self._visible(caller, lambda tx: accounting.visible_vms(tx, arguments["filter"]))
        rows = await self._figures("vm_monitoring", arguments["seconds"])
        return await self._in_thread(lambda: _joined(rows, visible))

    async def host_pool_monitoring(self, arguments: Arguments, caller: Caller) -> Prepared:
        visible = self._visible(caller, accounting.visible_hosts)
        rows = await self._figures("host_monitoring", arguments["seconds"])
        return await self._in_thread(lambda: _joined(rows, visible))

    async def _figures(self, table: str, seconds: int, oid: int | None = None) -> list[tuple[Any, ...]]:
        """(id, text) by id and time: of the last `seconds`, all (-1), or only the last of each (0)."""
        await self._measured.written()
        key, time = _FIGURES[table]
        conditions, values = ["1=1"], list[int]()
        if seconds == 0:
            conditions.append(f"{time}=(SELECT MAX({time}) FROM {table} m WHERE m.{key}={table}.{key})")  # noqa: S608 - names of ours
        elif seconds > 0:
            conditions.append(f"{time} > ?")
            values.append(self._cloud.now() - seconds)
        if oid is not None:
            conditions.append(f"{key}=?")
            values.append(oid)
        within = " AND ".join(conditions)
        statement = f"SELECT {key}, body FROM {table} WHERE {within} ORDER BY {key}, {time}"  # noqa: S608 - names of ours
        return await self._query(statement, values)

    # Accounting

    async def accounting(self, arguments: Arguments, caller: Caller) -> Prepared:
        """Records of the VMs that the caller may see, live and finished."""
        flag, start, end = (arguments[name] for name in ("filter", "start", "end"))
        await self._all_stored()
        within, values = records.overlapping(start, end)
        finished = await self._query(
            f"SELECT {', '.join(_VISIBILITY)} FROM vm_pool WHERE state={VmState.DONE:d} AND oid IN "  # noqa: S608 - names of ours
            f"(SELECT vid FROM history WHERE {within})",
            values,
        )
        entries = [_entry(row) for row in finished]
        visible = self._visible(caller, lambda tx: accounting.visible_vms(tx, flag, entries))
        return await self._in_thread(lambda: _as_wire(records.accounting(self._store, visible, start, end)))

    # SQL

    async def sql_query(self, arguments: Arguments, caller: Caller) -> Prepared:  # noqa: ARG002 - a Prepare
        return await self._on_a_copy(_answer, arguments["sql"])

    async def sql(self, arguments: Arguments, caller: Caller) -> Prepared:  # noqa: ARG002 - a Prepare
        return await self._on_a_copy(_differences, arguments["sql"])

    async def _on_a_copy(self, run: Callable[[SqlStore, str], Prepared], statement: str) -> Prepared:
        await self._all_stored()
        try:
            return await self._in_thread(lambda: run(self._store, statement))
        except scratch.ScratchError as error:
            return {"error": str(error)}

    # Search

    async def search(self, arguments: Arguments, caller: Caller) -> Prepared:  # noqa: ARG002 - a Prepare
        """The ids of the VMs, live and finished, in whose tokens the query is found."""
        query = Query(arguments["query"])
        await self._all_stored()
        # LIKE takes the underscores that tokens are full of for any character: it may find too much.
        rows = await self._query(
            "SELECT oid, search_token FROM vm_pool WHERE LOWER(search_token) LIKE ?", (f"%{query.rarest}%",)
        )
        return {"found": await self._in_thread(lambda: json.dumps(_matching(query, rows)))}

    # Showback

    async def showback(self, arguments: Arguments, caller: Caller) -> Prepared:
        """What was calculated of the VMs that the caller may see, live and finished."""
        flag = arguments["filter"]
        if span_fault(*_span(arguments)):
            return {}
        await self._all_stored()
        finished = await self._query(
            f"SELECT {', '.join(_VISIBILITY)} FROM vm_pool WHERE state={VmState.DONE:d} AND oid IN "  # noqa: S608 - names of ours
            "(SELECT vmid FROM vm_showback)",
            (),
        )
        entries = [_entry(row) for row in finished]
        visible = self._visible(caller, lambda tx: accounting.visible_vms(tx, flag, entries))
        rows = await self._in_thread(lambda: showback.listed(self._store, _span(arguments)))
        return await self._in_thread(lambda: _joined(rows, visible))

    async def calculate_showback(self, arguments: Arguments, caller: Caller) -> Prepared:  # noqa: ARG002 - a Prepare
        if span_fault(*_span(arguments)):
            return {}
        await self._all_stored()
        store, settings, now = self._store, self._cloud.settings, self._cloud.now()
        span, zone = _span(arguments), local_zone()
        return {"rows": await self._in_thread(lambda: showback.calculated(store, settings, now, span, zone))}

    async def _all_stored(self) -> None:
        """Until what has been changed so far can be read; of a change that is lost nothing is read."""
        with suppress(NotDurable):
            await self._cloud.durable(self._cloud.state.index)

    async def _query(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return await self._in_thread(lambda: self._store.query(statement, values))

    async def _in_thread(self, run: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def _visible(self, caller: Caller, find: Callable[[Transaction], Iterable[int]]) -> set[int]:
        return set(self._look(caller, find))

    def _look(self, caller: Caller, find: Callable[[Transaction], Iterable[T]]) -> list[T]:
        """What is found with the caller's eyes; nothing where the filter is one that the command refuses."""
        found: list[T] = []

        def command(tx: Transaction) -> bytes:
            found.extend(find(tx))
            return b""

        try:
            self._cloud.look(command, Inputs(caller=caller))
        except ApiError:
            return []
        return found


def _entry(row: Sequence[Any]) -> Entry:
    """Who may see a finished VM, of the columns _VISIBILITY of its row."""
    return Entry(row[0], {**dict(zip(_VISIBILITY, row, strict=True)), "body": ""}, 0)


def _answer(store: SqlStore, statement: str) -> Prepared:
    names, rows = scratch.read(store, statement)
    return {"answer": rows_xml(names, rows)}


def _differences(store: SqlStore, statement: str) -> Prepared:
    found = [asdict(item) for item in scratch.differences(store, statement)]
    return {"differences": json.dumps(found, default=str)}


def _matching(query: Query, rows: Sequence[tuple[Any, ...]]) -> list[int]:
    return [oid for oid, token in rows if query.finds(token or "")]


def _span(arguments: Arguments) -> showback.Span:
    first, second, third, last = (
        int(arguments[name]) for name in ("start_month", "start_year", "end_month", "end_year")
    )
    return first, second, third, last


def _as_wire(text: str) -> Prepared:
    """Documents, one after the other, as they stand inside a string value; many take a thread."""
    return {"wire": escape(text)}


def _joined(rows: Iterable[Sequence[Any]], visible: Collection[int] | None = None) -> Prepared:
    """The texts, which stand last, of rows whose ids, which stand first, are among the visible ones."""
    return _as_wire("".join(str(row[-1]) for row in rows if visible is None or row[0] in visible))
