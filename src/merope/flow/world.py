"""What is known of VMs: states of those of services, and what was heard of others a moment ago."""

from collections import OrderedDict

from merope.flow.states import VmView
from merope.model.states import LcmState, VmState

#: VMs of which something was heard before the answer came that they were made.
_RECENT = 20_000


class World:
    """`views` is what `decide` looks at. Each message counts: an answer older than one is not believed."""

    def __init__(self) -> None:
        self.views: dict[int, VmView] = {}
        self.service_of: dict[int, int] = {}
        self._recent: OrderedDict[int, VmView] = OrderedDict()
        self._heard: dict[int, int] = {}
        self.messages = 0

    def heard(self, vm: int, state: str, lcm_state: str) -> None:
        """A VM is in another state."""
        try:
            numbers = VmState[state], LcmState[lcm_state]
        except KeyError:
            return
        self.messages += 1
        known = self.views.get(vm) or self._recent.get(vm) or VmView()
        self._put(vm, known._replace(state=numbers[0], lcm_state=numbers[1], seen=False))

    def heard_ready(self, vm: int) -> None:
        self.messages += 1
        known = self.views.get(vm) or self._recent.get(vm) or VmView()
        self._put(vm, known._replace(ready=True))

    def _put(self, vm: int, view: VmView) -> None:
        self._heard[vm] = self.messages
        if vm in self.views:
            self.views[vm] = view
            return
        self._recent[vm] = view
        self._recent.move_to_end(vm)
        while len(self._recent) > _RECENT:
            gone, _ = self._recent.popitem(last=False)
            self._heard.pop(gone, None)

    def made(self, vm: int, service: int) -> None:
        """A VM of a service has been made; something may have been heard of it before the answer came."""
        self.views[vm] = self._recent.pop(vm, VmView())
        self.service_of[vm] = service

    def heard_since(self, vm: int, messages: int) -> bool:
        """Whether a VM was heard of after so many messages."""
        return self._heard.get(vm, 0) > messages

    def told(self, vm: int, view: VmView, since: int) -> VmView:
        """What is to be believed of an answer about a VM that was asked for after `since` messages."""
        known = self.views.get(vm) or self._recent.get(vm)
        if known is not None and self.heard_since(vm, since):
            return known._replace(error=view.error or known.error)
        asked = vm in self.views and self.views[vm].asked
        return view._replace(asked=asked)

    def clear(self) -> None:
        """All is to be read anew; what is heard meanwhile is not forgotten."""
        self._recent.update(self.views)
        self.views.clear()
        self.service_of.clear()

    def forget(self, vm: int) -> None:
        self.views.pop(vm, None)
        self.service_of.pop(vm, None)
        self._heard.pop(vm, None)
