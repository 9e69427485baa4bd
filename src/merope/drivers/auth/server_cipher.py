"""server_cipher: a service shows that it knows its password by encrypting a token with it.

The token is base64 of AES-256-CBC with a zero IV over `server:target:expires`; the key is the first 32
characters of the stored password, the SHA-256 of the service's own (spec drivers.yaml `server_cipher`).
"""

from merope.drivers.auth import signed
from merope.drivers.auth.base import Refused, Unconfigured
from merope.drivers.errors import DriverError
from merope.model.authentication import Credentials, Identity

KEY_LENGTH = 32
_BLOCK = 16


class ServerCipherDriver(Unconfigured):
    def authenticate(self, credentials: Credentials) -> Identity:
        key = credentials.stored[:KEY_LENGTH].encode()
        if len(key) != KEY_LENGTH:
            raise Refused(
                f"the stored password of the service has {len(credentials.stored)} characters; the key "
                f"takes {KEY_LENGTH} ASCII characters (it is the SHA-256 of the service's password)"
            )
        text = _decrypted(key, signed.decoded(credentials.secret))
        return Identity(expires=signed.check_server(text, credentials))


def _decrypted(key: bytes, data: bytes) -> bytes:
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.padding import PKCS7
    except ImportError as error:
        raise DriverError("the library cryptography is missing: install merope[auth]") from error
    if not data or len(data) % _BLOCK:
        raise Refused("the token is not what the cipher makes")
    # CBC and a fixed IV are the original's; the text is checked as a whole, which a wrong key garbles.
    decryptor = Cipher(algorithms.AES256(key), modes.CBC(bytes(_BLOCK))).decryptor()
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    try:
        return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    except ValueError as error:
        raise Refused("the token was made with another key") from error
