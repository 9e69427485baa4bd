"""Where the database of a home is: what DB in its oned.conf says."""

from pathlib import Path

from merope.daemon.layout import Layout
from merope.daemon.start import last_options
from merope.store.errors import StoreError
from merope.store.location import File, Location, location_of


def located(home: Path, config: Path | None = None) -> Location:
    """`config` is the oned.conf to read; else that of the last start, or that of the home.

    Raises StoreError where the configuration is wrong.
    """
    layout = Layout.at(home)
    last = last_options(layout)
    file = config or (Path(last.config) if last and last.config else layout.config_file)
    if file is None:
        return File(layout.database)
    # Not at the top: it takes longer to load than the rest together, and most homes have no such file.
    from merope.daemon.config import ConfigError, load

    try:
        settings = load(layout.home, file, {}, layout.sandbox_mark.exists()).settings
    except ConfigError as error:
        raise StoreError(f"The configuration {file} is wrong:\n{error}") from error
    return location_of(settings, layout.database)
