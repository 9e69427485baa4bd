"""The token by which a VM's guest proves to OneGate which VM it is (spec drivers.yaml `onegate.token`)."""

import base64

KEY_LENGTH = 32
"""So many characters of TOKEN_PASSWORD are the key."""


def onegate_token(vm_id: int, stime: int, password: str) -> str:
    """base64 of AES-256-CBC("<vmid>:<STIME>") under the first 32 characters of TOKEN_PASSWORD, zero IV.

    Raises ValueError for a password that is too short, ImportError where `cryptography` (extra `gate`) is not
    installed.
    """
    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    padder = padding.PKCS7(128).padder()
    data = padder.update(f"{vm_id}:{stime}".encode()) + padder.finalize()
    cipher = Cipher(algorithms.AES256(password[:KEY_LENGTH].encode()), modes.CBC(bytes(16))).encryptor()
    return base64.b64encode(cipher.update(data) + cipher.finalize()).decode()
