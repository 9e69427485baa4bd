"""Which guest asks: its token is compared with the one its VM must have; a right one is kept a moment."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from merope.client.client import parse_document
from merope.client.errors import OneError
from merope.gate.limits import Buckets
from merope.model.errors import Code
from merope.model.onegate_token import onegate_token
from merope.services.core import Core, text
from merope.services.web import Refusal

#: Seconds for which a token that was right is believed: so long may an old one be of use.
KEPT = 2.0
_MOST = 20_000
#: Wrong tokens a second, and at once, of one address.
_WRONG_RATE, _WRONG_BURST = 10, 50


@dataclass(frozen=True)
class Guest:
    """A VM that has shown its token. `owner` is in whose name it acts, `service` its SERVICE_ID or None."""

    vm: int
    owner: str
    service: int | None


class Guests:
    def __init__(
        self, core: Core, rate: int, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._core = core
        self._clock = clock
        self._known: OrderedDict[tuple[int, str], tuple[Guest, float]] = OrderedDict()
        self._rates = Buckets(rate, burst, clock)
        self._wrong = Buckets(_WRONG_RATE, _WRONG_BURST, clock)

    async def of(self, headers: "object", address: str) -> Guest:
        """Raises Refusal 401 for a token that is wrong or old, 429 for one who asks too often."""
        get = getattr(headers, "get")  # noqa: B009 - any mapping of headers
        number, shown = str(get("X-ONEGATE-VMID", "")), str(get("X-ONEGATE-TOKEN", "")).strip()
        if not (number.isascii() and number.isdecimal() and len(number) < 10 and 0 < len(shown) <= 512):
            raise Refusal(401, "Not authorized: X-ONEGATE-VMID and X-ONEGATE-TOKEN are needed.")
        vm = int(number)
        guest = self._remembered(vm, shown)
        if guest is None:
            if not self._wrong.has_room(address):
                raise Refusal(429, "There were too many wrong tokens from this address; try again later.")
            guest = await self._verified(vm, shown, address)
            self._remember(guest, shown)
        if not self._rates.take(vm):
            raise Refusal(429, f"VM {vm} asks too often; try again later.")
        return guest

    def _remembered(self, vm: int, shown: str) -> Guest | None:
        guest, until = self._known.get((vm, shown), (None, 0.0))
        return guest if until > self._clock() else None

    def _remember(self, guest: Guest, shown: str) -> None:
        self._known[guest.vm, shown] = (guest, self._clock() + KEPT)
        self._known.move_to_end((guest.vm, shown))
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    async def _verified(self, vm: int, shown: str, address: str) -> Guest:
        try:
            document = parse_document(await text(self._core, "", "one.vm.info", vm, False))
            right = await self._token(document)
        except OneError as error:
            if error.code != Code.NO_EXISTS:
                raise
            document, right = None, ""
        if document is None or document.findtext("STATE") == "6" or not _equal(right, shown):
            self._wrong.take(address)
            raise Refusal(401, "Not authorized: the token is not that of the VM.")
        service = document.findtext("USER_TEMPLATE/SERVICE_ID", "")
        return Guest(vm, document.findtext("UNAME", ""), int(service) if service.isdecimal() else None)

    async def _token(self, vm: Element) -> str:
        maker = vm.findtext("TEMPLATE/CREATED_BY") or vm.findtext("UID") or "-1"
        user = parse_document(await text(self._core, "", "one.user.info", int(maker), False))
        password = user.findtext("TEMPLATE/TOKEN_PASSWORD", "")
        try:
            return onegate_token(int(vm.findtext("ID", "-1")), int(vm.findtext("STIME", "0")), password)
        except ValueError:
            return ""


def _equal(one: str, other: str) -> bool:
    """Compared in a time that does not tell how much of them agrees; nothing is equal to ""."""
    return bool(one) and hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))
