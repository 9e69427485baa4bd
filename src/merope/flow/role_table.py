"""The life of a role, as a table. docs/flow.md has it drawn; a test follows each row."""

from collections.abc import Callable
from typing import NamedTuple

from merope.flow import conditions as is_
from merope.flow import deeds as do
from merope.flow.service import Role
from merope.flow.states import State
from merope.flow.turn import Turn

Condition = Callable[[Turn, Role], bool]
Deed = Callable[[Turn, Role], None]


class RoleRow(NamedTuple):
    """In `state`, when all of `when` hold: do `does` and go to `to`.

    None: stay. If that asked for actions, what becomes of them is waited for; else the next row is looked at.
    """

    state: State
    when: tuple[Condition, ...]
    to: State | None
    does: Deed = do.nothing


S = State
_RECOVERING = (
    ((is_.gone,), None, do.drop_gone),
    ((is_.to_boot,), None, do.boot),
    ((is_.disposing,), None, do.dispose),
)


def _rows(state: State, *rows: tuple[tuple[Condition, ...], State | None, Deed]) -> tuple[RoleRow, ...]:
    return tuple(RoleRow(state, *row) for row in rows)


ROLE_TABLE: tuple[RoleRow, ...] = (
    *_rows(
        S.PENDING,
        ((is_.ending,), S.UNDEPLOYING, do.begin_anew),
        ((is_.starting,), S.DEPLOYING, do.nothing),
    ),
    *_rows(
        S.DEPLOYING,
        ((is_.ending,), S.UNDEPLOYING, do.begin_anew),
        ((is_.refused,), S.FAILED_DEPLOYING, do.tell_failed),
        *_RECOVERING,
        ((is_.may_retry,), None, do.retry),
        ((is_.failed, is_.unexplained), None, do.ask_why),
        ((is_.failed,), S.FAILED_DEPLOYING, do.tell_failed),
        ((is_.missing,), None, do.make),
        ((is_.up,), S.RUNNING, do.clear_arrows),
    ),
    *_rows(
        S.RUNNING,
        ((is_.ending,), S.UNDEPLOYING, do.begin_anew),
        ((is_.gone,), None, do.drop_gone),
        ((is_.missing,), S.SCALING, do.tell_scaling),
        ((is_.excess,), S.SCALING, do.tell_scaling),
        ((is_.down,), S.WARNING, do.nothing),
    ),
    *_rows(
        S.WARNING,
        ((is_.ending,), S.UNDEPLOYING, do.begin_anew),
        *_RECOVERING,
        ((is_.missing, is_.free), None, do.make),
        ((is_.excess,), S.SCALING, do.tell_scaling),
        ((is_.up,), S.RUNNING, do.clear_arrows),
    ),
    *_rows(
        S.SCALING,
        ((is_.ending,), S.UNDEPLOYING, do.begin_anew),
        ((is_.refused,), S.FAILED_SCALING, do.tell_failed),
        ((is_.stuck,), S.FAILED_SCALING, do.tell_failed),
        ((is_.doubtful,), None, do.look),
        *_RECOVERING,
        ((is_.may_retry,), None, do.retry),
        ((is_.failed, is_.unexplained), None, do.ask_why),
        ((is_.failed,), S.FAILED_SCALING, do.tell_failed),
        ((is_.missing,), None, do.make),
        ((is_.excess,), None, do.shrink),
        ((is_.settled,), S.COOLDOWN, do.cool_down),
    ),
    *_rows(
        S.COOLDOWN,
        ((is_.ending,), S.UNDEPLOYING, do.begin_anew),
        ((is_.gone,), None, do.drop_gone),
        ((is_.down,), S.WARNING, do.nothing),
        ((is_.cooled,), S.RUNNING, do.nothing),
    ),
    *_rows(
        S.FAILED_DEPLOYING, ((is_.ending,), S.UNDEPLOYING, do.begin_anew), ((is_.gone,), None, do.drop_gone)
    ),
    *_rows(
        S.FAILED_SCALING, ((is_.ending,), S.UNDEPLOYING, do.begin_anew), ((is_.gone,), None, do.drop_gone)
    ),
    *_rows(
        S.UNDEPLOYING,
        ((is_.refused,), S.FAILED_UNDEPLOYING, do.tell_failed),
        ((is_.gone,), None, do.drop_gone),
        ((is_.stuck,), S.FAILED_UNDEPLOYING, do.tell_failed),
        ((is_.doubtful,), None, do.look),
        ((is_.to_end,), None, do.end_all),
        ((is_.empty,), S.DONE, do.nothing),
    ),
    *_rows(
        S.FAILED_UNDEPLOYING,
        ((is_.gone,), None, do.drop_gone),
        ((is_.ending, is_.empty), S.DONE, do.begin_anew),
    ),
)
