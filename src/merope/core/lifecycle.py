"""The life-cycle of a virtual machine, as a table.

A row says: in these phases, on this event, do these steps, go to that phase, and ask for that phase's
effect. The machine that walks the table is `core.vm_machine`, the steps are in `core.vm_steps`.
Source: spec states.yaml `actions`, `recover_map`, `retry_map`, `monitor_triggers`.
"""

from dataclasses import dataclass
from enum import Enum

from merope.model.phase import Phase
from merope.model.phase import Phase as P  # noqa: N817 - the table is read by its columns
from merope.model.states import HistoryAction as Action


class Step(Enum):
    """Book-keeping that goes with a transition; in a row they are carried out in order."""

    TAKE_CAPACITY = "the host's capacity is taken"
    RELEASE_CAPACITY = "the host's capacity is returned"
    RELEASE_SOURCE = "a migration's source host gets its capacity back and its record ends"
    RETURN_TO_SOURCE = "a failed migration gives up the target and goes on with a copy of the source's record"
    OPEN_PROLOG = "the record's prolog begins"
    CLOSE_PROLOG = "the record's prolog ends"
    OPEN_RUNNING = "the record's running time begins"
    CLOSE_RUNNING = "the record's running time ends"
    OPEN_EPILOG = "the record's epilog begins"
    CLOSE_EPILOG = "the record's epilog ends"
    COPY_RECORD = "the record ends and a copy of it begins"
    CLOSE_RECORD = "the record ends"
    SET_DEPLOY_ID = "the hypervisor's name for the VM is kept"
    CLEAR_DEPLOY_ID = "the hypervisor's name for the VM is forgotten"
    ASSIGN_CONSOLE = "a graphical console gets a port"
    RELEASE_CONSOLE = "its port is returned"
    CLEAR_ACTION = "what was asked did not happen, and the record says so"
    CLEAR_RESCHED = "a wish to be moved is fulfilled or void"
    REQUIREMENTS = "automatic requirements are computed anew"
    SAY_ERROR = "the driver's message is shown to the owner"
    DROP_EFFECTS = "what is under way is called off"
    FREE_ALL = "images, leases and quotas are returned"
    FORGET_PLACEMENT = "history and placement begin anew"


@dataclass(frozen=True, slots=True)
class Row:
    """`to` None: the phase stays. `effect` differs from the phase's own only where it is given.

    `source` says that the effect is carried out on the host that a migration leaves.
    """

    event: str
    phases: tuple[Phase, ...]
    to: Phase | None
    steps: tuple[Step, ...] = ()
    effect: str = ""
    action: Action | None = None
    source: bool = False


#: What is to be done in the world in each phase that waits for an answer.
EFFECTS: dict[Phase, str] = {
    P.PROLOG: "vm.prolog",
    P.PROLOG_MIGRATE: "vm.prolog_migrate",
    P.PROLOG_MIGRATE_POWEROFF: "vm.prolog_migrate",
    P.PROLOG_MIGRATE_SUSPEND: "vm.prolog_migrate",
    P.PROLOG_MIGRATE_UNKNOWN: "vm.prolog_migrate",
    P.PROLOG_RESUME: "vm.prolog_resume",
    P.PROLOG_UNDEPLOY: "vm.prolog_resume",
    P.BOOT: "vm.deploy",
    P.BOOT_POWEROFF: "vm.deploy",
    P.BOOT_UNKNOWN: "vm.deploy",
    P.BOOT_UNDEPLOY: "vm.deploy",
    P.BOOT_MIGRATE: "vm.restore",
    P.BOOT_SUSPENDED: "vm.restore",
    P.BOOT_STOPPED: "vm.restore",
    P.MIGRATE: "vm.migrate",
    P.SAVE_SUSPEND: "vm.save",
    P.SAVE_STOP: "vm.save",
    P.SAVE_MIGRATE: "vm.save",
    P.SHUTDOWN: "vm.shutdown",
    P.SHUTDOWN_POWEROFF: "vm.shutdown",
    P.SHUTDOWN_UNDEPLOY: "vm.shutdown",
    P.EPILOG: "vm.epilog",
    P.EPILOG_STOP: "vm.epilog_stop",
    P.EPILOG_UNDEPLOY: "vm.epilog_stop",
    P.CLEANUP_RESUBMIT: "vm.cleanup",
}

#: An effect's answer, as the event it becomes with "-ok" or "-ko".
ANSWERS: dict[str, str] = {
    "vm.prolog": "prolog",
    "vm.prolog_migrate": "prolog",
    "vm.prolog_resume": "prolog",
    "vm.deploy": "deploy",
    "vm.restore": "deploy",
    "vm.migrate": "deploy",
    "vm.save": "save",
    "vm.shutdown": "shutdown",
    "vm.cancel": "shutdown",
    "vm.epilog": "epilog",
    "vm.epilog_local": "epilog",
    "vm.epilog_stop": "epilog",
    "vm.cleanup": "cleanup",
}

#: `recover retry` of a failure goes back to the phase that failed.
RETRIES: dict[Phase, Phase] = {
    P.BOOT_FAILURE: P.BOOT,
    P.BOOT_MIGRATE_FAILURE: P.BOOT_MIGRATE,
    P.BOOT_UNDEPLOY_FAILURE: P.BOOT_UNDEPLOY,
    P.BOOT_STOPPED_FAILURE: P.BOOT_STOPPED,
    P.PROLOG_FAILURE: P.PROLOG,
    P.PROLOG_MIGRATE_FAILURE: P.PROLOG_MIGRATE,
    P.PROLOG_MIGRATE_POWEROFF_FAILURE: P.PROLOG_MIGRATE_POWEROFF,
    P.PROLOG_MIGRATE_SUSPEND_FAILURE: P.PROLOG_MIGRATE_SUSPEND,
    P.PROLOG_MIGRATE_UNKNOWN_FAILURE: P.PROLOG_MIGRATE_UNKNOWN,
    P.PROLOG_RESUME_FAILURE: P.PROLOG_RESUME,
    P.PROLOG_UNDEPLOY_FAILURE: P.PROLOG_UNDEPLOY,
    P.EPILOG_FAILURE: P.EPILOG,
    P.EPILOG_STOP_FAILURE: P.EPILOG_STOP,
    P.EPILOG_UNDEPLOY_FAILURE: P.EPILOG_UNDEPLOY,
}

FAILURES: tuple[Phase, ...] = tuple(RETRIES)
WAITING: tuple[Phase, ...] = tuple(EFFECTS)

_BOOTING = (P.BOOT, P.BOOT_POWEROFF, P.BOOT_UNKNOWN, P.BOOT_SUSPENDED, P.BOOT_STOPPED, P.BOOT_UNDEPLOY)
_BOOT_FAILED = (P.BOOT_FAILURE, P.BOOT_MIGRATE_FAILURE, P.BOOT_STOPPED_FAILURE, P.BOOT_UNDEPLOY_FAILURE)
_UNPLACED = (P.INIT, P.PENDING, P.HOLD, P.CLONING, P.CLONING_FAILURE)
_UP = (P.RUNNING, P.UNKNOWN)
_RESTING = (P.SUSPENDED, P.POWEROFF)
_AWAY = (P.STOPPED, P.UNDEPLOYED)
#: Phases with files on a host and no domain: deleting means removing files.
WITHOUT_DOMAIN: tuple[Phase, ...] = (
    P.PROLOG,
    P.PROLOG_FAILURE,
    P.PROLOG_RESUME,
    P.PROLOG_RESUME_FAILURE,
    P.PROLOG_UNDEPLOY,
    P.PROLOG_UNDEPLOY_FAILURE,
    P.EPILOG,
    P.EPILOG_FAILURE,
    P.EPILOG_STOP,
    P.EPILOG_STOP_FAILURE,
    P.EPILOG_UNDEPLOY,
    P.EPILOG_UNDEPLOY_FAILURE,
)
#: Phases in which a migration has two hosts.
MIGRATING: tuple[Phase, ...] = (
    P.MIGRATE,
    P.SAVE_MIGRATE,
    P.PROLOG_MIGRATE,
    P.PROLOG_MIGRATE_FAILURE,
    P.PROLOG_MIGRATE_POWEROFF,
    P.PROLOG_MIGRATE_POWEROFF_FAILURE,
    P.PROLOG_MIGRATE_SUSPEND,
    P.PROLOG_MIGRATE_SUSPEND_FAILURE,
    P.PROLOG_MIGRATE_UNKNOWN,
    P.PROLOG_MIGRATE_UNKNOWN_FAILURE,
)
#: Migrations whose source has given its capacity back already.
LEFT_SOURCE: tuple[Phase, ...] = tuple(
    phase for phase in MIGRATING if phase not in (P.MIGRATE, P.SAVE_MIGRATE)
)
#: Phases whose host's capacity has been returned although the VM is ACTIVE.
WITHOUT_CAPACITY: tuple[Phase, ...] = (
    P.EPILOG,
    P.EPILOG_FAILURE,
    P.EPILOG_STOP,
    P.EPILOG_STOP_FAILURE,
    P.EPILOG_UNDEPLOY,
    P.EPILOG_UNDEPLOY_FAILURE,
)

_PLACED = (Step.TAKE_CAPACITY, Step.ASSIGN_CONSOLE, Step.OPEN_PROLOG)
_TARGET = (Step.TAKE_CAPACITY,)
_DONE = (Step.CLOSE_EPILOG, Step.CLOSE_RECORD, Step.DROP_EFFECTS, Step.FREE_ALL)
_EPILOG = (Step.CLOSE_RUNNING, Step.RELEASE_CAPACITY, Step.OPEN_EPILOG)
_LEAVE = (Step.CLEAR_RESCHED, *_EPILOG, Step.RELEASE_CONSOLE)
_LEAVE_SOURCE = (Step.RELEASE_SOURCE, Step.OPEN_PROLOG)
_BOOTS = (Step.CLOSE_PROLOG, Step.OPEN_RUNNING)
_RUNS = (Step.SET_DEPLOY_ID,)
_RESUMED = (Step.COPY_RECORD, Step.OPEN_RUNNING)
_BACK = (Step.RETURN_TO_SOURCE, Step.OPEN_RUNNING)
_REFUSED = (Step.SAY_ERROR, Step.CLEAR_ACTION)

REQUESTS: tuple[Row, ...] = (
    # What follows on a record that is closed leaves it as it is: what it ended with tells how to go on.
    Row("hold", (P.PENDING,), P.HOLD),
    Row("release", (P.HOLD,), P.PENDING, (Step.REQUIREMENTS,)),
    Row("deploy", (P.PENDING, P.HOLD), P.PROLOG, _PLACED),
    Row("deploy", (P.STOPPED,), P.PROLOG_RESUME, _PLACED),
    Row("deploy", (P.UNDEPLOYED,), P.PROLOG_UNDEPLOY, _PLACED),
    Row("suspend", (P.RUNNING,), P.SAVE_SUSPEND, (Step.CLEAR_RESCHED,), action=Action.SUSPEND),
    Row("stop", (P.RUNNING,), P.SAVE_STOP, (Step.CLEAR_RESCHED,), action=Action.STOP),
    Row("stop", (P.SUSPENDED,), P.EPILOG_STOP, (*_EPILOG, Step.RELEASE_CONSOLE), action=Action.STOP),
    Row("resume", _AWAY, P.PENDING, (Step.REQUIREMENTS,)),
    Row("resume", (P.SUSPENDED,), P.BOOT_SUSPENDED, _RESUMED),
    Row("resume", (P.POWEROFF,), P.BOOT_POWEROFF, _RESUMED),
    Row("resume", (P.UNKNOWN,), P.BOOT_UNKNOWN, action=Action.RESUME),
    Row("poweroff", _UP, P.SHUTDOWN_POWEROFF, (Step.CLEAR_RESCHED,), action=Action.POWEROFF),
    Row(
        "poweroff-hard",
        _UP,
        P.SHUTDOWN_POWEROFF,
        (Step.CLEAR_RESCHED,),
        "vm.cancel",
        action=Action.POWEROFF_HARD,
    ),
    Row("undeploy", _UP, P.SHUTDOWN_UNDEPLOY, (Step.CLEAR_RESCHED,), action=Action.UNDEPLOY),
    Row(
        "undeploy-hard",
        _UP,
        P.SHUTDOWN_UNDEPLOY,
        (Step.CLEAR_RESCHED,),
        "vm.cancel",
        action=Action.UNDEPLOY_HARD,
    ),
    Row("undeploy", (P.POWEROFF,), P.EPILOG_UNDEPLOY, _LEAVE, action=Action.UNDEPLOY),
    Row("undeploy-hard", (P.POWEROFF,), P.EPILOG_UNDEPLOY, _LEAVE, action=Action.UNDEPLOY_HARD),
    Row("terminate", _UP, P.SHUTDOWN, (Step.CLEAR_RESCHED,), action=Action.TERMINATE),
    Row("terminate-hard", _UP, P.SHUTDOWN, (Step.CLEAR_RESCHED,), "vm.cancel", action=Action.TERMINATE_HARD),
    Row("terminate", _RESTING, P.EPILOG, (Step.CLEAR_RESCHED, *_EPILOG), action=Action.TERMINATE),
    Row("terminate-hard", _RESTING, P.EPILOG, (Step.CLEAR_RESCHED, *_EPILOG), action=Action.TERMINATE_HARD),
    Row("terminate", _AWAY, P.EPILOG, (Step.OPEN_EPILOG,), "vm.epilog_local", Action.TERMINATE),
    Row("terminate-hard", _AWAY, P.EPILOG, (Step.OPEN_EPILOG,), "vm.epilog_local", Action.TERMINATE_HARD),
    Row("terminate", _UNPLACED, P.DONE, (Step.FREE_ALL,), action=Action.TERMINATE),
    Row("terminate-hard", _UNPLACED, P.DONE, (Step.FREE_ALL,), action=Action.TERMINATE_HARD),
    Row("terminate", (P.DONE,), None),
    Row("terminate-hard", (P.DONE,), None),
    Row("reboot", (P.RUNNING,), None, effect="vm.reboot", action=Action.REBOOT),
    Row("reboot-hard", (P.RUNNING,), None, effect="vm.reset", action=Action.REBOOT_HARD),
    Row("migrate", (P.RUNNING,), P.SAVE_MIGRATE, _TARGET, source=True),
    Row("poweroff-migrate", (P.RUNNING,), P.SAVE_MIGRATE, _TARGET, "vm.shutdown", source=True),
    Row("poweroff-hard-migrate", (P.RUNNING,), P.SAVE_MIGRATE, _TARGET, "vm.cancel", source=True),
    Row("live-migrate", (P.RUNNING,), P.MIGRATE, (Step.TAKE_CAPACITY, Step.OPEN_RUNNING), source=True),
    Row("migrate", (P.UNKNOWN,), P.PROLOG_MIGRATE_UNKNOWN, (Step.TAKE_CAPACITY, *_LEAVE_SOURCE)),
    Row("migrate", (P.POWEROFF,), P.PROLOG_MIGRATE_POWEROFF, (Step.TAKE_CAPACITY, *_LEAVE_SOURCE)),
    Row("migrate", (P.SUSPENDED,), P.PROLOG_MIGRATE_SUSPEND, (Step.TAKE_CAPACITY, *_LEAVE_SOURCE)),
)

ANSWER_ROWS: tuple[Row, ...] = (
    Row("prolog-ok", (P.PROLOG,), P.BOOT, _BOOTS),
    Row("prolog-ok", (P.PROLOG_MIGRATE,), P.BOOT_MIGRATE, _BOOTS),
    # A VM that was migrated powered off boots; "-off" is the machine's word for that.
    Row("prolog-ok-off", (P.PROLOG_MIGRATE,), P.BOOT, _BOOTS),
    Row("prolog-ok", (P.PROLOG_MIGRATE_UNKNOWN,), P.BOOT, _BOOTS),
    Row("prolog-ok", (P.PROLOG_MIGRATE_POWEROFF,), P.POWEROFF, (Step.CLOSE_PROLOG,)),
    Row("prolog-ok", (P.PROLOG_MIGRATE_SUSPEND,), P.SUSPENDED, (Step.CLOSE_PROLOG,)),
    Row("prolog-ok", (P.PROLOG_RESUME,), P.BOOT_STOPPED, _BOOTS),
    Row("prolog-ok", (P.PROLOG_UNDEPLOY,), P.BOOT_UNDEPLOY, _BOOTS),
    Row("prolog-ko", (P.PROLOG,), P.PROLOG_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_MIGRATE,), P.PROLOG_MIGRATE_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_MIGRATE_UNKNOWN,), P.PROLOG_MIGRATE_UNKNOWN_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_MIGRATE_POWEROFF,), P.PROLOG_MIGRATE_POWEROFF_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_MIGRATE_SUSPEND,), P.PROLOG_MIGRATE_SUSPEND_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_RESUME,), P.PROLOG_RESUME_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_UNDEPLOY,), P.PROLOG_UNDEPLOY_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ok", (*_BOOTING, P.BOOT_MIGRATE), P.RUNNING, _RUNS),
    Row("deploy-ok", (P.MIGRATE,), P.RUNNING, (Step.RELEASE_SOURCE,)),
    Row("deploy-ko", (P.BOOT,), P.BOOT_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.BOOT_MIGRATE,), P.BOOT_MIGRATE_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.BOOT_STOPPED,), P.BOOT_STOPPED_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.BOOT_UNDEPLOY,), P.BOOT_UNDEPLOY_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.BOOT_SUSPENDED,), P.SUSPENDED, (Step.SAY_ERROR, Step.CLOSE_RUNNING)),
    Row("deploy-ko", (P.BOOT_POWEROFF,), P.POWEROFF, (Step.SAY_ERROR, Step.CLOSE_RUNNING)),
    Row("deploy-ko", (P.BOOT_UNKNOWN,), P.UNKNOWN, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.MIGRATE,), P.RUNNING, (Step.SAY_ERROR, *_BACK)),
    Row("save-ok", (P.SAVE_SUSPEND,), P.SUSPENDED, (Step.CLOSE_RUNNING,)),
    Row("save-ok", (P.SAVE_STOP,), P.EPILOG_STOP, (*_EPILOG, Step.RELEASE_CONSOLE)),
    Row("save-ok", (P.SAVE_MIGRATE,), P.PROLOG_MIGRATE, _LEAVE_SOURCE),
    Row("save-ko", (P.SAVE_SUSPEND, P.SAVE_STOP), P.RUNNING, _REFUSED),
    Row("save-ko", (P.SAVE_MIGRATE,), P.RUNNING, (Step.SAY_ERROR, *_BACK)),
    Row("shutdown-ok", (P.SHUTDOWN,), P.EPILOG, _EPILOG),
    Row("shutdown-ok", (P.SHUTDOWN_POWEROFF,), P.POWEROFF, (Step.CLOSE_RUNNING,)),
    Row("shutdown-ok", (P.SHUTDOWN_UNDEPLOY,), P.EPILOG_UNDEPLOY, (*_EPILOG, Step.RELEASE_CONSOLE)),
    Row("shutdown-ok", (P.SAVE_MIGRATE,), P.PROLOG_MIGRATE, _LEAVE_SOURCE),
    Row("shutdown-ko", (P.SHUTDOWN, P.SHUTDOWN_POWEROFF, P.SHUTDOWN_UNDEPLOY), P.RUNNING, _REFUSED),
    Row("shutdown-ko", (P.SAVE_MIGRATE,), P.RUNNING, (Step.SAY_ERROR, *_BACK)),
    Row("epilog-ok", (P.EPILOG,), P.DONE, _DONE),
    Row("epilog-ok", (P.EPILOG_STOP,), P.STOPPED, (Step.CLOSE_EPILOG, Step.CLOSE_RECORD)),
    Row(
        "epilog-ok",
        (P.EPILOG_UNDEPLOY,),
        P.UNDEPLOYED,
        (Step.CLOSE_EPILOG, Step.CLOSE_RECORD, Step.CLEAR_DEPLOY_ID),
    ),
    Row("epilog-ko", (P.EPILOG,), P.EPILOG_FAILURE, (Step.SAY_ERROR,)),
    Row("epilog-ko", (P.EPILOG_STOP,), P.EPILOG_STOP_FAILURE, (Step.SAY_ERROR,)),
    Row("epilog-ko", (P.EPILOG_UNDEPLOY,), P.EPILOG_UNDEPLOY_FAILURE, (Step.SAY_ERROR,)),
    # Requirements are not computed anew on an answer: that can be refused, and an answer cannot.
    Row("cleanup-ok", (P.CLEANUP_RESUBMIT,), P.PENDING, (Step.FORGET_PLACEMENT,)),
    Row("cleanup-ko", (P.CLEANUP_RESUBMIT,), P.PENDING, (Step.SAY_ERROR, Step.FORGET_PLACEMENT)),
)

RECOVERY_ROWS: tuple[Row, ...] = (
    # `recover success` of a failure goes on where the operation would have ended; `failure` of a failed
    # migration goes back to the source. Every other answer is fired as it stands.
    Row("recover-ok", (P.PROLOG_FAILURE,), P.BOOT, _BOOTS),
    Row("recover-ok", (P.PROLOG_RESUME_FAILURE,), P.BOOT_STOPPED, _BOOTS),
    Row("recover-ok", (P.PROLOG_UNDEPLOY_FAILURE,), P.BOOT_UNDEPLOY, _BOOTS),
    Row("recover-ok", (P.PROLOG_MIGRATE_FAILURE,), P.BOOT_MIGRATE, _BOOTS),
    Row("recover-ok-off", (P.PROLOG_MIGRATE_FAILURE,), P.BOOT, _BOOTS),
    Row("recover-ok", (P.PROLOG_MIGRATE_UNKNOWN_FAILURE,), P.BOOT, _BOOTS),
    Row("recover-ok", (P.PROLOG_MIGRATE_POWEROFF_FAILURE,), P.POWEROFF, (Step.CLOSE_PROLOG,)),
    Row("recover-ok", (P.PROLOG_MIGRATE_SUSPEND_FAILURE,), P.SUSPENDED, (Step.CLOSE_PROLOG,)),
    Row("recover-ok", _BOOT_FAILED, P.RUNNING, _RUNS),
    Row("recover-ok", (P.EPILOG_FAILURE,), P.DONE, _DONE),
    Row("recover-ok", (P.EPILOG_STOP_FAILURE,), P.STOPPED, (Step.CLOSE_EPILOG, Step.CLOSE_RECORD)),
    Row(
        "recover-ok",
        (P.EPILOG_UNDEPLOY_FAILURE,),
        P.UNDEPLOYED,
        (Step.CLOSE_EPILOG, Step.CLOSE_RECORD, Step.CLEAR_DEPLOY_ID),
    ),
    Row("recover-ok", (P.UNKNOWN,), P.RUNNING),
    Row("recover-ok", (P.RUNNING, P.LCM_INIT), None),
    Row("recover-ko", (P.PROLOG_MIGRATE_FAILURE,), P.BOOT_MIGRATE, _BACK),
    Row("recover-ko-off", (P.PROLOG_MIGRATE_FAILURE,), P.BOOT, _BACK),
    Row("recover-ko", (P.PROLOG_MIGRATE_UNKNOWN_FAILURE,), P.BOOT, _BACK),
    Row("recover-ko", (P.PROLOG_MIGRATE_POWEROFF_FAILURE,), P.POWEROFF, (Step.RETURN_TO_SOURCE,)),
    Row("recover-ko", (P.PROLOG_MIGRATE_SUSPEND_FAILURE,), P.SUSPENDED, (Step.RETURN_TO_SOURCE,)),
    Row("recover-ko", (P.UNKNOWN, P.RUNNING, P.LCM_INIT), None),
    Row(
        "recover-ko",
        tuple(phase for phase in FAILURES if phase not in MIGRATING),
        None,
    ),
    Row("delete-recreate", (*_AWAY, P.HOLD), P.PENDING, (Step.DROP_EFFECTS, Step.FORGET_PLACEMENT)),
    Row("delete-recreate", tuple(phase for phase in _UNPLACED if phase is not P.HOLD), None),
    Row("images-ready", (P.CLONING, P.CLONING_FAILURE), P.PENDING),
    Row("images-ready-hold", (P.CLONING, P.CLONING_FAILURE), P.HOLD),
    Row("images-waiting", (P.CLONING_FAILURE,), P.CLONING),
    Row("images-failed", (P.CLONING,), P.CLONING_FAILURE, (Step.SAY_ERROR,)),
)

MONITOR_ROWS: tuple[Row, ...] = (
    Row("found-running", _RESTING, P.RUNNING, _RESUMED),
    Row("found-running", (P.UNKNOWN, *_BOOT_FAILED), P.RUNNING),
    Row("found-failed", (P.RUNNING,), P.UNKNOWN),
    Row("found-suspended", _UP, P.SUSPENDED, (Step.CLOSE_RUNNING,), action=Action.MONITOR),
    Row("found-poweroff", _UP, P.POWEROFF, (Step.CLOSE_RUNNING,), action=Action.MONITOR),
    Row("host-lost", (P.RUNNING,), P.UNKNOWN),
)

ROWS: tuple[Row, ...] = REQUESTS + ANSWER_ROWS + RECOVERY_ROWS + MONITOR_ROWS

TABLE: dict[tuple[str, Phase], Row] = {(row.event, phase): row for row in ROWS for phase in row.phases}
if len(TABLE) != sum(len(row.phases) for row in ROWS):
    raise ValueError("two rows of the life-cycle answer the same event in the same phase")
