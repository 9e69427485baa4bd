"""The site's RSA key: NETWORK/PUBKEY and PRIKEY of monitord.conf, files in PEM."""

from pathlib import Path

from merope.monitor.sessions import Unwrap

LIBRARY = "NETWORK/PUBKEY needs the library cryptography: pip install 'merope[auth]'"
_LEAST_BITS = 2048


class KeyFileError(Exception):
    """Why a key cannot be used, as a sentence."""


def public_numbers(path: str) -> tuple[int, int]:
    """Modulus and exponent of a public key: SubjectPublicKeyInfo or PKCS #1. Raises KeyFileError."""
    try:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise KeyFileError(LIBRARY) from error
    try:
        key = load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise KeyFileError(f"NETWORK/PUBKEY {path} cannot be read: {error}") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise KeyFileError(f"NETWORK/PUBKEY {path} must be an RSA key of {_LEAST_BITS} bits or more")
    numbers = key.public_numbers()
    return numbers.n, numbers.e


def unwrap_with(path: str) -> Unwrap:
    """Opens secrets that were wrapped with the public half. Raises KeyFileError."""
    try:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise KeyFileError(LIBRARY) from error
    try:
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyFileError(f"NETWORK/PRIKEY {path} cannot be read: {error}") from error
    if not isinstance(key, RSAPrivateKey):
        raise KeyFileError(f"NETWORK/PRIKEY {path} must be an RSA key")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)

    def unwrap(wrapped: bytes) -> bytes:
        return key.decrypt(wrapped, oaep)

    return unwrap
