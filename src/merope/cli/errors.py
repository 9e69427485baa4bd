"""What a command itself refuses, as opposed to the cloud (merope.client.errors)."""


class CliError(Exception):
    """The sentence goes to stderr, the exit code is 255."""


class UsageError(CliError):
    """The command line is wrong; `usage` is the line that shows the right form (or empty)."""

    def __init__(self, message: str, usage: str = "") -> None:
        super().__init__(message)
        self.usage = usage
