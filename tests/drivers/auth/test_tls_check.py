"""What a look at a server's certificate says, against servers that show all kinds of them."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.drivers.auth.authority import KEYS, Issued, issue, name

from merope.drivers.auth.tls_check import TlsFault, check

ROOT = issue(name("Root"), KEYS[0], authority=True)
Answer = Callable[[socket.socket], None]


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_text(ROOT.pem)
    return str(path)


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], int]]:
    """Starts a server that gives each connection to a function; the port."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: Answer) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            try:
                made, _ = listener.accept()
            except OSError:
                return
            with made:
                made.settimeout(5)
                try:
                    answer(made)
                except OSError:
                    return

        listeners.append(listener)
        threads.append(threading.Thread(target=run))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for listener in listeners:
        # Closing alone does not wake who waits for a connection.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def with_tls(tmp_path: Path, made: Issued, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Answer:
    (tmp_path / "server.pem").write_text(made.pem + made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.maximum_version = newest

    def answer(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as secure:
            secure.recv(1)

    return answer


def after_start_tls(answer: Answer, reply: bytes) -> Answer:
    def both(plain: socket.socket) -> None:
        assert plain.recv(100).endswith(b"1.3.6.1.4.1.1466.20037")
        plain.sendall(reply)
        answer(plain)

    return both


#: ExtendedResponse success and unavailable, as OpenLDAP's server writes them.
SUCCESS = bytes.fromhex("300c02010178070a010004000400")
UNAVAILABLE = bytes.fromhex("300c02010178070a013404000400")


def test_a_right_certificate_is_accepted(
    serve: Callable[[Answer], int], tmp_path: Path, ca_file: str
) -> None:
    made = issue(name("server"), KEYS[1], ROOT, hosts=("127.0.0.1",))
    check("127.0.0.1", serve(with_tls(tmp_path, made)), ca_file, 5, start_tls=False)
    behind = after_start_tls(with_tls(tmp_path, made), SUCCESS)
    check("127.0.0.1", serve(behind), ca_file, 5, start_tls=True)


CERTIFICATES: dict[str, tuple[Callable[[], Issued], str]] = {
    "another host": (lambda: issue(name("s"), KEYS[1], ROOT, hosts=("127.0.0.2",)), "mismatch"),
    "no host but in the common name": (lambda: issue(name("127.0.0.1"), KEYS[1], ROOT), "mismatch"),
    "ended": (
        lambda: issue(name("s"), KEYS[1], ROOT, begin=-9, days=8, hosts=("127.0.0.1",)),
        "has expired",
    ),
    "not begun": (lambda: issue(name("s"), KEYS[1], ROOT, begin=2, hosts=("127.0.0.1",)), "not yet valid"),
    "by itself": (lambda: issue(name("s"), KEYS[1], hosts=("127.0.0.1",)), "self-signed"),
    "by another": (
        lambda: issue(name("s"), KEYS[1], issue(name("Root"), KEYS[2], authority=True), hosts=("127.0.0.1",)),
        "not accepted",
    ),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_a_wrong_certificate_is_told_with_what_is_wrong(
    serve: Callable[[Answer], int], tmp_path: Path, ca_file: str, case: str
) -> None:
    make, said = CERTIFICATES[case]
    port = serve(with_tls(tmp_path, make()))
    with pytest.raises(TlsFault, match=f"its certificate is not accepted.*{said}|{said}"):
        check("127.0.0.1", port, ca_file, 5, start_tls=False)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (UNAVAILABLE, "does not offer StartTLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as a directory server"),
        (b"\x30\x84\x7f\xff\xff\xff", "does not answer as a directory server"),
        (b"\x30", "does not answer as a directory server"),
        (b"", "does not answer as a directory server"),
        (SUCCESS, "EOF"),
    ],
)
def test_a_server_that_does_not_begin_tls_is_told(
    serve: Callable[[Answer], int], ca_file: str, reply: bytes, said: str
) -> None:
    def end(plain: socket.socket) -> None:
        # Closed with what the client says next unread, a connection is reset instead of ended.
        if reply == SUCCESS:
            plain.recv(65536)

    port = serve(after_start_tls(end, reply))
    with pytest.raises(TlsFault, match=said):
        check("127.0.0.1", port, ca_file, 5, start_tls=True)


def test_a_server_that_says_nothing_takes_no_longer_than_the_time(
    serve: Callable[[Answer], int], ca_file: str
) -> None:
    for start_tls in (False, True):
        port = serve(lambda plain: time.sleep(1))
        began = time.monotonic()
        with pytest.raises(TlsFault, match="did not answer in time"):
            check("127.0.0.1", port, ca_file, 0.3, start_tls=start_tls)
        assert time.monotonic() - began < 0.9


def test_authorities_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(TlsFault, match="cannot be read: No such file"):
        check("127.0.0.1", 1, str(tmp_path / "none.pem"), 1, start_tls=False)
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(TlsFault, match="cannot be read"):
        check("127.0.0.1", 1, str(tmp_path / "none.pem"), 1, start_tls=False)
