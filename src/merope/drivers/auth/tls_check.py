"""A look at a directory server's certificate before OpenLDAP's library speaks to it.

The library verifies certificates itself, but says of none why it was refused, and in the builds of some
distributions it waits for ever for a server that takes connections and never begins TLS. Here both have
an answer: it is one more handshake.
"""

import select
import socket
import ssl
import time

#: LDAPMessage { 1, ExtendedRequest { 1.3.6.1.4.1.1466.20037 } }: StartTLS (RFC 4511, section 4.14).
_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
#: ExtendedResponse with resultCode success, as its content begins.
_RESPONSE, _SUCCESS = 0x78, b"\x0a\x01\x00"
_LONGEST = 1024


class TlsFault(Exception):  # noqa: N818 - an answer about the server
    """TLS with that server does not come about; the sentence says why."""


def check(host: str, port: int, ca_file: str, seconds: float, *, start_tls: bool) -> None:
    """Raises TlsFault where the server does not show a certificate for `host` by one of `ca_file`'s
    authorities within `seconds`."""
    deadline = time.monotonic() + seconds
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsFault(f"the authorities in {ca_file} cannot be read: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with socket.create_connection((host, port), seconds) as plain:
            if start_tls:
                _ask_for_tls(plain, deadline)
            with context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False) as secure:
                _shake_hands(secure, deadline)
    except ssl.SSLCertVerificationError as error:
        raise TlsFault(f"its certificate is not accepted: {error.verify_message}") from error
    except TimeoutError as error:
        raise TlsFault("it did not answer in time") from error
    except (OSError, ssl.SSLError) as error:
        raise TlsFault(str(error.strerror or error)) from error


def _shake_hands(secure: ssl.SSLSocket, deadline: float) -> None:
    """Within the time as a whole: a socket's own time-out is for each byte."""
    secure.setblocking(False)
    while True:
        left = _left(deadline)
        try:
            secure.do_handshake()
        except ssl.SSLWantReadError:
            select.select([secure], [], [], left)
        except ssl.SSLWantWriteError:
            select.select([], [secure], [], left)
        else:
            return


def _ask_for_tls(plain: socket.socket, deadline: float) -> None:
    plain.sendall(_START_TLS)
    answer = b""
    while len(answer) < 2 or len(answer) < 2 + answer[1]:
        plain.settimeout(_left(deadline))
        data = plain.recv(_LONGEST)
        answer += data
        if not data or answer[0] != 0x30 or answer[1:2] > b"\x7f" or len(answer) > _LONGEST:
            raise TlsFault("it does not answer as a directory server")
    # 30 len | 02 01 01 | 78 len | 0a 01 00 …
    if answer[5:6] != bytes([_RESPONSE]) or answer[7:10] != _SUCCESS:
        raise TlsFault("it does not offer StartTLS")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
