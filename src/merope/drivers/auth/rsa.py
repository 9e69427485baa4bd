"""RSA "encryption with the private key", by which the original signs tokens (PKCS #1 v1.5, no digest)."""

from merope.drivers.auth.base import Refused
from merope.drivers.errors import DriverError

MISSING = "the library cryptography is missing: install merope[auth]"


def recovered(public_key: object, data: bytes) -> bytes:
    """What the owner of the key's private half encrypted; raises Refused."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
    except ImportError as error:
        raise DriverError(MISSING) from error
    if not isinstance(public_key, RSAPublicKey):
        raise Refused("the key is not an RSA key")
    try:
        return public_key.recover_data_from_signature(data, PKCS1v15(), NoDigestInfo())
    except (InvalidSignature, ValueError) as error:
        raise Refused("the token was made with another key") from error
