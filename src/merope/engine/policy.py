"""How long an operation may take, and whether and when one that failed is tried again."""

from merope.model.effect import Effect

#: Seconds after which an answer that could not be stored, or an attempt that may be repeated, comes again.
RETRY_SECONDS = (1.0, 5.0, 15.0)

#: What takes away the rest of something that is gone, or begins anew: nobody else will, so it is tried until
#: it succeeds, later and later, as long as its host is there. Doing it twice is doing it once.
CLEANING = frozenset({"vm.delete", "vm.cleanup"})
#: So is a migration whose source is off: its destination is asked, as long as it takes, what has arrived.
#: What was given by others and is theirs again: they are told until they have heard it.
RETURNING = frozenset({"ipam.free", "ipam.unregister"})
CLEANING_SECONDS = (*RETRY_SECONDS, 60.0, 300.0, 900.0)

#: What may have been done although it failed, and says so when it is asked again: where the domain is after
#: a migration that was cut off decides which host the VM is on.
#: What is plugged in and not in the VM's document, or the reverse, would be found out by nobody.
ASKED_AGAIN = frozenset({"vm.migrate", "vm.attach_disk", "vm.detach_disk", "vm.attach_nic", "vm.detach_nic"})

#: Seconds that an operation may take; then it has failed. Those not named have DEFAULT_TIMEOUT.
TIMEOUTS: dict[str, float] = {
    "vm.update_sg": 60.0,
    "host.fence": 300.0,
    "vm.shutdown": 900.0,
    "vm.migrate": 7200.0,
    "vm.save": 3600.0,
    "vm.restore": 3600.0,
    "vm.prolog": 7200.0,
    "vm.prolog_migrate": 7200.0,
    "vm.prolog_resume": 7200.0,
    "vm.epilog": 7200.0,
    "vm.epilog_stop": 7200.0,
    "vm.attach_disk": 7200.0,
    "vm.detach_disk": 7200.0,
    "vm.prolog_attach": 7200.0,
    "vm.epilog_detach": 7200.0,
    "vm.snapshot_create": 3600.0,
    "vm.snapshot_revert": 3600.0,
    "vm.snapshot_delete": 3600.0,
    "vm.disk_snapshot_create": 7200.0,
    "vm.disk_snapshot_revert": 7200.0,
    "vm.save_as": 86400.0,
    "image.copy": 86400.0,
    "image.clone": 86400.0,
    "image.make": 3600.0,
    "marketapp.import": 86400.0,
    "image.snapshot_revert": 7200.0,
    "image.snapshot_flatten": 86400.0,
}
DEFAULT_TIMEOUT = 600.0


def seconds_for(effect: Effect) -> float:
    """How long the operation may take."""
    return TIMEOUTS.get(effect.op, DEFAULT_TIMEOUT)


def pause(effect: Effect, failed: int, *, retry_safe: bool, host_is_there: bool) -> float | None:
    """Seconds until the next attempt after `failed` that have failed; None when there is none."""
    insists = effect.op in CLEANING or "arrived" in effect.arguments
    if (insists and host_is_there) or effect.op in RETURNING:
        return CLEANING_SECONDS[min(failed, len(CLEANING_SECONDS)) - 1]
    if effect.op in ASKED_AGAIN and failed == 1:
        return RETRY_SECONDS[0]
    return RETRY_SECONDS[failed - 1] if retry_safe and failed <= len(RETRY_SECONDS) else None
