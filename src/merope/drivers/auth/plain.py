"""plain: the stored password is the secret itself. Anybody who may see the user's document has it."""

import hmac

from merope.drivers.auth.base import Refused, Unconfigured
from merope.model.authentication import Credentials, Identity


class PlainDriver(Unconfigured):
    def authenticate(self, credentials: Credentials) -> Identity:
        stored, secret = _bytes(credentials.stored), _bytes(credentials.secret)
        if not stored or not hmac.compare_digest(stored, secret):
            raise Refused("the password is another")
        return Identity()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
