"""Rows of `recover`, of images that a VM waits for, and of what monitoring finds."""

from merope.core.lifecycle.phases import BOOT_FAILED, FAILURES, MIGRATING, RESTING, UNPLACED, UP
from merope.core.lifecycle.row import Row, Step
from merope.core.lifecycle.steps import ARRIVED, ARRIVED_AND_BOOTS, BACK, BOOTS, DONE, REMOVED, RESUMED, RUNS
from merope.model.phase import Phase as P  # noqa: N817 - the table is read by its columns
from merope.model.states import HistoryAction as Action

RECOVERY_ROWS: tuple[Row, ...] = (
    # `recover success` of a failure goes on where the operation would have ended; `failure` of a failed
    # migration goes back to the source. Every other answer is fired as it stands.
    Row("recover-ok", (P.PROLOG_FAILURE,), P.BOOT, BOOTS),
    Row("recover-ok", (P.PROLOG_RESUME_FAILURE,), P.BOOT_STOPPED, BOOTS),
    Row("recover-ok", (P.PROLOG_UNDEPLOY_FAILURE,), P.BOOT_UNDEPLOY, BOOTS),
    Row("recover-ok", (P.PROLOG_MIGRATE_FAILURE,), P.BOOT_MIGRATE, ARRIVED_AND_BOOTS),
    Row("recover-ok-off", (P.PROLOG_MIGRATE_FAILURE,), P.BOOT, ARRIVED_AND_BOOTS),
    Row("recover-ok", (P.PROLOG_MIGRATE_UNKNOWN_FAILURE,), P.BOOT, ARRIVED_AND_BOOTS),
    Row("recover-ok", (P.PROLOG_MIGRATE_POWEROFF_FAILURE,), P.POWEROFF, ARRIVED),
    Row("recover-ok", (P.PROLOG_MIGRATE_SUSPEND_FAILURE,), P.SUSPENDED, ARRIVED),
    Row("recover-ok", BOOT_FAILED, P.RUNNING, RUNS),
    Row("recover-ok", (P.EPILOG_FAILURE,), P.DONE, DONE),
    Row("recover-ok", (P.EPILOG_STOP_FAILURE,), P.STOPPED, (Step.CLOSE_EPILOG, Step.CLOSE_RECORD)),
    Row(
        "recover-ok",
        (P.EPILOG_UNDEPLOY_FAILURE,),
        P.UNDEPLOYED,
        (Step.CLOSE_EPILOG, Step.CLOSE_RECORD, Step.CLEAR_DEPLOY_ID),
    ),
    Row("recover-ok", (P.UNKNOWN,), P.RUNNING),
    # 5.12 passes through this phase: a database that it wrote may have VMs in it.
    Row("recover-ok", (P.CLEANUP_DELETE,), P.DONE, REMOVED),
    Row("recover-ko", (P.CLEANUP_DELETE,), P.DONE, REMOVED),
    Row("recover-ok", (P.RUNNING, P.LCM_INIT), None),
    Row("recover-ko", (P.PROLOG_MIGRATE_FAILURE,), P.BOOT_MIGRATE, BACK),
    Row("recover-ko-off", (P.PROLOG_MIGRATE_FAILURE,), P.BOOT, BACK),
    Row("recover-ko", (P.PROLOG_MIGRATE_UNKNOWN_FAILURE,), P.BOOT, BACK),
    Row("recover-ko", (P.PROLOG_MIGRATE_POWEROFF_FAILURE,), P.POWEROFF, (Step.RETURN_TO_SOURCE,)),
    Row("recover-ko", (P.PROLOG_MIGRATE_SUSPEND_FAILURE,), P.SUSPENDED, (Step.RETURN_TO_SOURCE,)),
    Row("recover-ko", (P.UNKNOWN, P.RUNNING, P.LCM_INIT), None),
    Row(
        "recover-ko",
        tuple(phase for phase in FAILURES if phase not in MIGRATING),
        None,
    ),
    Row("delete-recreate", (P.HOLD,), P.PENDING, (Step.DROP_EFFECTS, Step.FORGET_PLACEMENT)),
    Row("delete-recreate", tuple(phase for phase in UNPLACED if phase is not P.HOLD), None),
    Row("images-ready", (P.CLONING, P.CLONING_FAILURE), P.PENDING),
    Row("images-ready-hold", (P.CLONING, P.CLONING_FAILURE), P.HOLD),
    Row("images-waiting", (P.CLONING_FAILURE,), P.CLONING),
    Row("images-failed", (P.CLONING,), P.CLONING_FAILURE, (Step.SAY_ERROR,)),
)

MONITOR_ROWS: tuple[Row, ...] = (
    Row("found-running", RESTING, P.RUNNING, RESUMED),
    Row("found-running", (P.UNKNOWN, *BOOT_FAILED), P.RUNNING),
    Row("found-failed", (P.RUNNING,), P.UNKNOWN),
    Row("found-suspended", UP, P.SUSPENDED, (Step.CLOSE_RUNNING,), action=Action.MONITOR),
    Row("found-poweroff", UP, P.POWEROFF, (Step.CLOSE_RUNNING,), action=Action.MONITOR),
    Row("host-lost", (P.RUNNING,), P.UNKNOWN),
    # The host is known to be off: whatever was begun there runs no more.
    Row("host-dead", (P.RUNNING, *BOOT_FAILED), P.UNKNOWN),
)
