"""Names to ids, one look at a pool for all names of a command."""

from collections.abc import Iterable

from merope.cli.errors import CliError
from merope.client import KINDS, Client, whole


class Resolver:
    """Looks names up in the pools that the user sees; ids are taken as they are."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pools: dict[str, list[tuple[str, int, str]]] = {}

    def one(self, kind: str, reference: object, owner: str | None = None) -> int:
        """The id behind an id or a name (of an object of `owner`, a user name, if given).

        Raises CliError when no object or more than one has the name.
        """
        if isinstance(reference, int):
            return reference
        what = KINDS[kind].root
        found = [
            oid
            for name, oid, uname in self._pool(kind)
            if name == reference and (owner is None or uname == owner)
        ]
        if not found:
            raise CliError(f"{what} named {reference} not found.")
        if len(found) > 1:
            ids = ", ".join(map(str, sorted(found)))
            raise CliError(f"There are several {what}s named {reference} ({ids}): use the id.")
        return found[0]

    def many(self, kind: str, references: Iterable[object]) -> list[int]:
        return [self.one(kind, r) for r in references]

    def _pool(self, kind: str) -> list[tuple[str, int, str]]:
        if kind not in self._pools:
            self._pools[kind] = [
                (e.findtext("NAME", ""), whole(e, "ID"), e.findtext("UNAME", ""))
                for e in self._client.pool(kind)
            ]
        return self._pools[kind]
