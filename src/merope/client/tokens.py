"""Tokens that a client signs itself, for users of the drivers ssh and x509 and for services.

`expires` is an epoch in seconds. The library cryptography (extra `auth`) is loaded when it is needed.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from merope.client.errors import ClientError
from merope.model import distinguished_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

MISSING = "The library cryptography is missing: install merope[auth]."
#: A service's key: so many characters of its password's SHA-256.
_KEY_LENGTH = 32


def load_key(data: bytes, ask: Callable[[], str] | None = None) -> "RSAPrivateKey":
    """An RSA private key in PEM or in OpenSSH's form; `ask` answers the passphrase of an encrypted one.

    Raises ClientError.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
    except ImportError as error:
        raise ClientError(MISSING) from error
    read = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
    key: object
    try:
        key = read(data, None)
    except TypeError as error:
        if ask is None:
            raise ClientError("The key is encrypted: its passphrase is needed.") from error
        key = _decrypted(read, data, ask())
    except ValueError as error:
        raise ClientError("This is no private key in PEM or in OpenSSH's form.") from error
    if not isinstance(key, RSAPrivateKey):
        raise ClientError("Tokens are signed with RSA keys, and this is another kind (ssh-keygen -t rsa).")
    return key


def _decrypted(read: Callable[..., object], data: bytes, passphrase: str) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return read(data, passphrase.encode())
    except (ValueError, TypeError) as error:
        raise ClientError("That is not the passphrase of the key.") from error
    except UnsupportedAlgorithm as error:
        raise ClientError(f"The encryption of the key is not known here: {error}") from error


def public_key(key: "RSAPrivateKey") -> str:
    """What the PASSWORD of an ssh user is: the public key in PEM, without its first and last line."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode()


def certificate_name(certificate: bytes) -> str:
    """What the PASSWORD of an x509 user is: the name of the certificate (PEM). Raises ClientError."""
    try:
        from cryptography import x509
    except ImportError as error:
        raise ClientError(MISSING) from error
    try:
        subject = x509.load_pem_x509_certificate(certificate).subject
    except ValueError as error:
        raise ClientError("This is no certificate in PEM.") from error
    parts = ([(part.oid.dotted_string, str(part.value)) for part in rdn] for rdn in subject.rdns)
    return distinguished_name.stored(distinguished_name.oneline(parts))


def user_token(key: "RSAPrivateKey", user: str, expires: int) -> str:
    """The token of an ssh user."""
    return b64encode(_signed(key, f"{user}:{expires}")).decode()


def x509_token(key: "RSAPrivateKey", chain: Sequence[str], user: str, expires: int) -> str:
    """The token of an x509 user; `chain` is the certificate and those that signed it, in PEM."""
    return b64encode(":".join([user_token(key, user, expires), *chain]).encode()).decode()


def server_x509_session(key: "RSAPrivateKey", server: str, target: str, expires: int) -> str:
    """The session of a service that acts for user `target`."""
    inner = b64encode(_signed(key, f"{server}:{target}:{expires}"))
    return f"{server}:{target}:{b64encode(inner).decode()}"


def server_cipher_session(server: str, password: str, target: str, expires: int) -> str:
    """The session of a service that acts for user `target` ("user", or "user:gid" for one group of theirs).

    `password` is what the service's file of credentials has behind its name.
    """
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.padding import PKCS7
    except ImportError as error:
        raise ClientError(MISSING) from error
    key = hashlib.sha256(password.encode()).hexdigest()[:_KEY_LENGTH].encode()
    padder = PKCS7(128).padder()
    text = padder.update(f"{server}:{target}:{expires}".encode()) + padder.finalize()
    # A fixed IV is what the original has.
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(bytes(16))).encryptor()
    token = b64encode(encryptor.update(text) + encryptor.finalize()).decode()
    return f"{server}:{target}:{token}"


def _signed(key: "RSAPrivateKey", text: str) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo

    try:
        return key.sign(text.encode(), PKCS1v15(), NoDigestInfo())
    except ValueError as error:
        raise ClientError("The key is too short for a token of this user.") from error
