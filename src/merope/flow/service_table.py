"""The life of a service, as a table; it follows from its roles'."""

from collections.abc import Callable
from typing import NamedTuple

from merope.flow.states import State
from merope.flow.turn import DropNetwork, Forget, MakeNetwork, Turn

S = State
OfService = Callable[[Turn], bool]
DeedOfService = Callable[[Turn], None]


def _any(*states: State) -> OfService:
    def condition(turn: Turn) -> bool:
        return any(role.state in states for role in turn.service.roles)

    condition.__doc__ = f"A role is {' or '.join(state.name for state in states)}."
    condition.__name__ = f"any_{'_'.join(state.name for state in states)}"
    return condition


def _none(*states: State) -> OfService:
    def condition(turn: Turn) -> bool:
        return not any(role.state in states for role in turn.service.roles)

    condition.__doc__ = f"No role is {' or '.join(state.name for state in states)}."
    condition.__name__ = f"no_{'_'.join(state.name for state in states)}"
    return condition


def _all_done(turn: Turn) -> bool:
    """All roles are DONE."""
    return all(role.state is State.DONE for role in turn.service.roles)


def _always(_: Turn) -> bool:
    return True


def _hindered(turn: Turn) -> bool:
    """A network was refused."""
    return bool(turn.service.failure)


def _lacks_networks(turn: Turn) -> bool:
    """A network is still to be made."""
    return any(network.id is None for network in turn.service.networks)


def _has_networks(turn: Turn) -> bool:
    """Networks that were made for it are still there."""
    return any(network.own and network.id is not None for network in turn.service.networks)


def _purged(turn: Turn) -> bool:
    """It is to be removed altogether."""
    return turn.service.purge


def _make_networks(turn: Turn) -> None:
    """Make the networks."""
    turn.actions += [MakeNetwork(n.name) for n in turn.service.networks if n.id is None]


def _drop_networks(turn: Turn) -> None:
    """Remove the networks that were made for it."""
    networks = turn.service.networks
    turn.actions += [DropNetwork(n.name, n.id) for n in networks if n.own and n.id is not None]


def _forget(turn: Turn) -> None:
    """Remove its document."""
    turn.actions.append(Forget())


def _tell(turn: Turn) -> None:
    """Note why in the log."""
    turn.service.note(turn.now, turn.service.failure, "E")


def _idle(_: Turn) -> None:
    return None


class ServiceRow(NamedTuple):
    """As RoleRow, of the service; roles have been seen to before."""

    state: State
    when: tuple[OfService, ...]
    to: State | None
    does: DeedOfService = _idle


def _of(
    state: State, *rows: tuple[tuple[OfService, ...], State | None, DeedOfService]
) -> tuple[ServiceRow, ...]:
    return tuple(ServiceRow(state, *row) for row in rows)


_TO_SCALING: tuple[tuple[OfService, ...], State | None, DeedOfService] = (
    (_any(S.SCALING, S.FAILED_SCALING),), S.SCALING, _idle,
)  # fmt: skip
_TO_WARNING: tuple[tuple[OfService, ...], State | None, DeedOfService] = (
    (_any(S.WARNING),), S.WARNING, _idle,
)  # fmt: skip

SERVICE_TABLE: tuple[ServiceRow, ...] = (
    *_of(S.PENDING, ((_always,), S.DEPLOYING, _idle)),
    *_of(
        S.DEPLOYING,
        ((_hindered,), S.FAILED_DEPLOYING, _tell),
        ((_any(S.FAILED_DEPLOYING),), S.FAILED_DEPLOYING, _idle),
        ((_lacks_networks,), None, _make_networks),
        ((_none(S.PENDING, S.DEPLOYING),), S.RUNNING, _idle),
    ),
    *_of(S.RUNNING, _TO_SCALING, _TO_WARNING, ((_any(S.COOLDOWN),), S.COOLDOWN, _idle)),
    *_of(S.WARNING, _TO_SCALING, ((_none(S.WARNING),), S.RUNNING, _idle)),
    *_of(
        S.SCALING,
        ((_any(S.FAILED_SCALING),), S.FAILED_SCALING, _idle),
        ((_none(S.SCALING), _any(S.COOLDOWN)), S.COOLDOWN, _idle),
        ((_none(S.SCALING),), S.RUNNING, _idle),
    ),
    *_of(S.COOLDOWN, _TO_SCALING, _TO_WARNING, ((_none(S.COOLDOWN),), S.RUNNING, _idle)),
    *_of(
        S.UNDEPLOYING,
        ((_hindered,), S.FAILED_UNDEPLOYING, _tell),
        ((_any(S.FAILED_UNDEPLOYING),), S.FAILED_UNDEPLOYING, _idle),
        ((_all_done, _has_networks), None, _drop_networks),
        ((_all_done,), S.DONE, _idle),
    ),
    *_of(S.DONE, ((_purged,), None, _forget)),
)
