"""What the store says when it cannot do its work."""


class StoreError(Exception):
    """The database could not be read or written; nothing of what was asked has been stored."""
