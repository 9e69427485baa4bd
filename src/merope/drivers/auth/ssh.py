"""ssh: the user's PASSWORD is an RSA public key (PEM without its first and last line, in one line), the
secret is base64 of `user:expires` encrypted with the private one. `oneuser login --ssh` makes it."""

import base64
import binascii

from merope.drivers.auth import rsa, signed
from merope.drivers.auth.base import Refused, Unconfigured
from merope.drivers.errors import DriverError
from merope.model.authentication import Credentials, Identity


class SshDriver(Unconfigured):
    def authenticate(self, credentials: Credentials) -> Identity:
        key = _public_key(credentials.stored)
        text = rsa.recovered(key, signed.decoded(credentials.secret))
        return Identity(expires=signed.check_user(text, credentials))


def _public_key(stored: str) -> object:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_der_public_key
    except ImportError as error:
        raise DriverError(rsa.MISSING) from error
    try:
        return load_der_public_key(base64.b64decode(stored, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise Refused(
            "what is stored is no public key (oneuser key --key FILE prints what is to be stored)"
        ) from error
