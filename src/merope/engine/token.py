"""The OneGate token of a VM, for its CONTEXT."""

from merope.drivers.errors import DriverError
from merope.model import onegate_token as tokens


def onegate_token(vm_id: int, stime: int, password: str) -> str:
    """Raises DriverError when the `cryptography` package (extra `gate`) is not installed."""
    try:
        return tokens.onegate_token(vm_id, stime, password)
    except ImportError as error:
        raise DriverError("CONTEXT/TOKEN needs the package cryptography: install merope[gate]") from error
    except ValueError as error:
        raise DriverError("CONTEXT/TOKEN needs a TOKEN_PASSWORD of 32 characters or more") from error
