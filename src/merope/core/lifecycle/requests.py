"""Rows of requests: what users and the scheduler ask of a VM as a whole."""

from merope.core.lifecycle.phases import AWAY, RESTING, UNPLACED, UP
from merope.core.lifecycle.row import Row, Step
from merope.core.lifecycle.steps import EPILOG, LEAVE, LEAVE_SOURCE, PLACED, RESUMED, TARGET
from merope.model.phase import Phase as P  # noqa: N817 - the table is read by its columns
from merope.model.states import HistoryAction as Action

REQUESTS: tuple[Row, ...] = (
    # What follows on a record that is closed leaves it as it is: what it ended with tells how to go on.
    Row("hold", (P.PENDING,), P.HOLD),
    Row("release", (P.HOLD,), P.PENDING, (Step.REQUIREMENTS,)),
    Row("deploy", (P.PENDING, P.HOLD), P.PROLOG, PLACED),
    # A domain that was there before the cloud knew of it: nothing is asked of its host.
    Row("import", (P.PENDING, P.HOLD), P.RUNNING, (Step.TAKE_CAPACITY, Step.OPEN_RUNNING)),
    Row("import-poweroff", (P.PENDING, P.HOLD), P.POWEROFF, TARGET),
    Row("deploy", (P.STOPPED,), P.PROLOG_RESUME, PLACED),
    Row("deploy", (P.UNDEPLOYED,), P.PROLOG_UNDEPLOY, PLACED),
    Row("suspend", (P.RUNNING,), P.SAVE_SUSPEND, (Step.CLEAR_RESCHED,), action=Action.SUSPEND),
    Row("stop", (P.RUNNING,), P.SAVE_STOP, (Step.CLEAR_RESCHED,), action=Action.STOP),
    Row("stop", (P.SUSPENDED,), P.EPILOG_STOP, (*EPILOG, Step.RELEASE_CONSOLE), action=Action.STOP),
    Row("resume", AWAY, P.PENDING, (Step.REQUIREMENTS,)),
    Row("resume", (P.SUSPENDED,), P.BOOT_SUSPENDED, RESUMED),
    Row("resume", (P.POWEROFF,), P.BOOT_POWEROFF, RESUMED),
    Row("resume", (P.UNKNOWN,), P.BOOT_UNKNOWN, action=Action.RESUME),
    Row("poweroff", UP, P.SHUTDOWN_POWEROFF, (Step.CLEAR_RESCHED,), action=Action.POWEROFF),
    Row(
        "poweroff-hard",
        UP,
        P.SHUTDOWN_POWEROFF,
        (Step.CLEAR_RESCHED,),
        "vm.cancel",
        action=Action.POWEROFF_HARD,
    ),
    Row("undeploy", UP, P.SHUTDOWN_UNDEPLOY, (Step.CLEAR_RESCHED,), action=Action.UNDEPLOY),
    Row(
        "undeploy-hard",
        UP,
        P.SHUTDOWN_UNDEPLOY,
        (Step.CLEAR_RESCHED,),
        "vm.cancel",
        action=Action.UNDEPLOY_HARD,
    ),
    Row("undeploy", (P.POWEROFF,), P.EPILOG_UNDEPLOY, LEAVE, action=Action.UNDEPLOY),
    Row("undeploy-hard", (P.POWEROFF,), P.EPILOG_UNDEPLOY, LEAVE, action=Action.UNDEPLOY_HARD),
    Row("terminate", UP, P.SHUTDOWN, (Step.CLEAR_RESCHED,), action=Action.TERMINATE),
    Row("terminate-hard", UP, P.SHUTDOWN, (Step.CLEAR_RESCHED,), "vm.cancel", action=Action.TERMINATE_HARD),
    Row("terminate", RESTING, P.EPILOG, (Step.CLEAR_RESCHED, *EPILOG), action=Action.TERMINATE),
    Row("terminate-hard", RESTING, P.EPILOG, (Step.CLEAR_RESCHED, *EPILOG), action=Action.TERMINATE_HARD),
    Row("terminate", AWAY, P.EPILOG, (Step.OPEN_EPILOG,), "vm.epilog_local", Action.TERMINATE),
    Row("terminate-hard", AWAY, P.EPILOG, (Step.OPEN_EPILOG,), "vm.epilog_local", Action.TERMINATE_HARD),
    Row("terminate", UNPLACED, P.DONE, (Step.FREE_ALL,), action=Action.TERMINATE),
    Row("terminate-hard", UNPLACED, P.DONE, (Step.FREE_ALL,), action=Action.TERMINATE_HARD),
    Row("terminate", (P.DONE,), None),
    Row("terminate-hard", (P.DONE,), None),
    Row("reboot", (P.RUNNING,), None, effect="vm.reboot", action=Action.REBOOT),
    Row("reboot-hard", (P.RUNNING,), None, effect="vm.reset", action=Action.REBOOT_HARD),
    Row("migrate", (P.RUNNING,), P.SAVE_MIGRATE, TARGET, source=True),
    Row("poweroff-migrate", (P.RUNNING,), P.SAVE_MIGRATE, TARGET, "vm.shutdown", source=True),
    Row("poweroff-hard-migrate", (P.RUNNING,), P.SAVE_MIGRATE, TARGET, "vm.cancel", source=True),
    Row("live-migrate", (P.RUNNING,), P.MIGRATE, (Step.TAKE_CAPACITY, Step.OPEN_RUNNING), source=True),
    Row("migrate", (P.UNKNOWN,), P.PROLOG_MIGRATE_UNKNOWN, (Step.TAKE_CAPACITY, *LEAVE_SOURCE)),
    Row("migrate", (P.POWEROFF,), P.PROLOG_MIGRATE_POWEROFF, (Step.TAKE_CAPACITY, *LEAVE_SOURCE)),
    Row("migrate", (P.SUSPENDED,), P.PROLOG_MIGRATE_SUSPEND, (Step.TAKE_CAPACITY, *LEAVE_SOURCE)),
)
