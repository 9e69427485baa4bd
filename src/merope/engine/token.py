"""The token by which a VM's guest proves to OneGate which VM it is (spec drivers.yaml `onegate.token`)."""

import base64

from merope.drivers.errors import DriverError


def onegate_token(vm_id: int, stime: int, password: str) -> str:
    """base64 of AES-256-CBC("<vmid>:<STIME>") under the first 32 characters of TOKEN_PASSWORD, zero IV.

    Raises DriverError when the `cryptography` package (extra `gate`) is not installed.
    """
    try:
        from cryptography.hazmat.primitives import padding
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError as error:
        raise DriverError("CONTEXT/TOKEN needs the package cryptography: install merope[gate]") from error
    padder = padding.PKCS7(128).padder()
    data = padder.update(f"{vm_id}:{stime}".encode()) + padder.finalize()
    cipher = Cipher(algorithms.AES(password[:32].encode()), modes.CBC(bytes(16))).encryptor()
    return base64.b64encode(cipher.update(data) + cipher.finalize()).decode()
