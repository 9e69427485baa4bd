"""One run of a sub-command: its values, the cloud, the terminal."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from merope.cli.errors import CliError
from merope.cli.names import Resolver
from merope.cli.parse import Invocation
from merope.cli.terminal import Terminal
from merope.client import Client, ClientError, ConnectionFailed, NoCredentials

T = TypeVar("T")


class Context:
    """`connect` makes the client when it is first needed, so that --dry and --help need no cloud."""

    def __init__(
        self, invocation: Invocation, connect: Callable[[Invocation], Client], terminal: Terminal
    ) -> None:
        self.invocation = invocation
        self.terminal = terminal
        self._connect = connect
        self._client: Client | None = None
        self._resolver: Resolver | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self._connect(self.invocation)
        return self._client

    def become(self, user: str, password: str) -> Client:
        """Go on as another user of the same cloud."""
        options = {**self.invocation.options, "user": user, "password": password}
        self.invocation = self.invocation._replace(options=options)
        self.close()
        return self.client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def names(self) -> Resolver:
        if self._resolver is None:
            self._resolver = Resolver(self.client)
        return self._resolver

    @property
    def kind(self) -> str:
        return self.invocation.tool.kind

    def has(self, argument: str) -> bool:
        return argument in self.invocation.values

    def flag(self, option: str) -> bool:
        return option in self.invocation.options

    def argument(self, name: str, kind: type[T]) -> T:
        """A positional argument that was declared with a reader of `kind`."""
        value = self.invocation.values[name]
        assert isinstance(value, kind)
        return value

    def word(self, name: str) -> str:
        return self.argument(name, str)

    def number(self, name: str) -> int:
        return self.argument(name, int)

    def optional_word(self, name: str) -> str | None:
        return self.word(name) if self.has(name) else None

    def option(self, name: str, kind: type[T]) -> T | None:
        value = self.invocation.options.get(name)
        assert value is None or isinstance(value, kind)
        return value

    def oid(self, name: str = "", kind: str = "") -> int:
        """The id behind an argument of one object (by default of the tool's own kind)."""
        kind = kind or self.kind
        return self.names.one(kind, self.invocation.values[name or f"{kind}id"])

    def optional_oid(self, name: str, kind: str = "") -> int | None:
        return self.oid(name, kind) if self.has(name) else None

    def ids(self) -> list[int]:
        """The ids behind the list argument of the tool's own kind."""
        return self.names.many(self.kind, self.argument(f"{self.kind}id_list", list))

    def option_oid(self, name: str, kind: str, default: int = -1) -> int:
        value = self.invocation.options.get(name)
        return default if value is None else self.names.one(kind, value)

    def say(self, text: str) -> None:
        """With --verbose only."""
        if self.flag("verbose"):
            self.terminal.print(text)

    def print(self, text: str = "") -> None:
        self.terminal.print(text)

    def print_id(self, oid: int, kind: str = "") -> None:
        """What was made; `kind` where it is none of the command's own, as 5.12 tells it."""
        self.terminal.print(f"{kind} ID: {oid}".lstrip())

    def for_each(self, ids: Iterable[int], act: Callable[[int], object]) -> int:
        """Do it for all, whatever happens to one of them; 255 when one failed."""
        code = 0
        for oid in ids:
            try:
                act(oid)
            except (ConnectionFailed, NoCredentials):
                raise
            except (ClientError, CliError) as e:
                self.terminal.warn(str(e))
                code = 255
        return code

    def read_template(self, argument: str = "file") -> str | None:
        """The text of the file argument, None when it was not given."""
        path = self.optional_word(argument)
        return None if path is None else self.terminal.read_file(path)
