"""What every driver raises when it cannot do what it was asked."""


class DriverError(Exception):
    """An operation failed; the sentence is shown to the VM's owner, so it holds no secret.

    `retry_safe` says that nothing was changed and that the same call may succeed later.
    """

    def __init__(self, message: str, *, retry_safe: bool = False) -> None:
        super().__init__(message)
        self.retry_safe = retry_safe
