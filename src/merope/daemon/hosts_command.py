"""What commands that look at hosts have in common: the settings of the cloud, and how they fail."""

import sys
from collections.abc import Callable
from pathlib import Path

from merope.client import Client, ClientError
from merope.daemon.config import ConfigError, load
from merope.daemon.layout import Layout, default_home
from merope.daemon.running import remote_of
from merope.daemon.service import BAD_CONFIGURATION
from merope.daemon.start import last_options
from merope.engine.remote import Remote

FAILED = 2


class CommandFailed(Exception):  # noqa: N818 - what came of a command
    """Why there is nothing to be done, as a sentence."""


def carried_out(home: Path | None, work: Callable[[Layout, Remote], int], *expected: type[Exception]) -> int:
    """The exit status of `work` on the cloud in `home`; what it raises of `expected` is FAILED."""
    layout = Layout.at(home or default_home())
    known: tuple[type[Exception], ...] = (ClientError, CommandFailed, OSError, *expected)
    try:
        return work(layout, remote_of(layout, load(layout.home, layout.config_file).settings))
    except ConfigError as error:
        print(f"one: the configuration is wrong:\n{error}", file=sys.stderr)
        return BAD_CONFIGURATION
    except known as error:
        print(f"one: {error}", file=sys.stderr)
        return FAILED


def client_here(layout: Layout) -> Client:
    """Of the cloud that was started last in this home. Raises CommandFailed."""
    options = last_options(layout)
    if options is None:
        raise CommandFailed("there is no cloud here that was started")
    return Client(options.endpoint, layout.login())
