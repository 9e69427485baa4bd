"""Rows of answers: what drivers say of operations on a VM as a whole."""

from merope.core.lifecycle.phases import BOOTING
from merope.core.lifecycle.row import Row, Step
from merope.core.lifecycle.steps import BACK, BOOTS, DONE, EPILOG, LEAVE_SOURCE, REFUSED, RUNS
from merope.model.phase import Phase as P  # noqa: N817 - the table is read by its columns

ANSWER_ROWS: tuple[Row, ...] = (
    Row("prolog-ok", (P.PROLOG,), P.BOOT, BOOTS),
    Row("prolog-ok", (P.PROLOG_MIGRATE,), P.BOOT_MIGRATE, BOOTS),
    # A VM that was migrated powered off boots; "-off" is the machine's word for that.
    Row("prolog-ok-off", (P.PROLOG_MIGRATE,), P.BOOT, BOOTS),
    Row("prolog-ok", (P.PROLOG_MIGRATE_UNKNOWN,), P.BOOT, BOOTS),
    Row("prolog-ok", (P.PROLOG_MIGRATE_POWEROFF,), P.POWEROFF, (Step.CLOSE_PROLOG,)),
    Row("prolog-ok", (P.PROLOG_MIGRATE_SUSPEND,), P.SUSPENDED, (Step.CLOSE_PROLOG,)),
    Row("prolog-ok", (P.PROLOG_RESUME,), P.BOOT_STOPPED, BOOTS),
    Row("prolog-ok", (P.PROLOG_UNDEPLOY,), P.BOOT_UNDEPLOY, BOOTS),
    Row("prolog-ko", (P.PROLOG,), P.PROLOG_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_MIGRATE,), P.PROLOG_MIGRATE_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_MIGRATE_UNKNOWN,), P.PROLOG_MIGRATE_UNKNOWN_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_MIGRATE_POWEROFF,), P.PROLOG_MIGRATE_POWEROFF_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_MIGRATE_SUSPEND,), P.PROLOG_MIGRATE_SUSPEND_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_RESUME,), P.PROLOG_RESUME_FAILURE, (Step.SAY_ERROR,)),
    Row("prolog-ko", (P.PROLOG_UNDEPLOY,), P.PROLOG_UNDEPLOY_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ok", (*BOOTING, P.BOOT_MIGRATE), P.RUNNING, RUNS),
    Row("deploy-ok", (P.MIGRATE,), P.RUNNING, (Step.RELEASE_SOURCE, Step.DROP_SNAPSHOTS)),
    Row("deploy-ko", (P.BOOT,), P.BOOT_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.BOOT_MIGRATE,), P.BOOT_MIGRATE_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.BOOT_STOPPED,), P.BOOT_STOPPED_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.BOOT_UNDEPLOY,), P.BOOT_UNDEPLOY_FAILURE, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.BOOT_SUSPENDED,), P.SUSPENDED, (Step.SAY_ERROR, Step.CLOSE_RUNNING)),
    Row("deploy-ko", (P.BOOT_POWEROFF,), P.POWEROFF, (Step.SAY_ERROR, Step.CLOSE_RUNNING)),
    Row("deploy-ko", (P.BOOT_UNKNOWN,), P.UNKNOWN, (Step.SAY_ERROR,)),
    Row("deploy-ko", (P.MIGRATE,), P.RUNNING, (Step.SAY_ERROR, *BACK)),
    Row("save-ok", (P.SAVE_SUSPEND,), P.SUSPENDED, (Step.CLOSE_RUNNING, Step.DROP_SNAPSHOTS)),
    Row("save-ok", (P.SAVE_STOP,), P.EPILOG_STOP, (*EPILOG, Step.RELEASE_CONSOLE, Step.DROP_SNAPSHOTS)),
    Row("save-ok", (P.SAVE_MIGRATE,), P.PROLOG_MIGRATE, (*LEAVE_SOURCE, Step.DROP_SNAPSHOTS)),
    Row("save-ko", (P.SAVE_SUSPEND, P.SAVE_STOP), P.RUNNING, REFUSED),
    Row("save-ko", (P.SAVE_MIGRATE,), P.RUNNING, (Step.SAY_ERROR, *BACK)),
    Row("shutdown-ok", (P.SHUTDOWN,), P.EPILOG, EPILOG),
    Row("shutdown-ok", (P.SHUTDOWN_POWEROFF,), P.POWEROFF, (Step.CLOSE_RUNNING, Step.DROP_SNAPSHOTS)),
    Row(
        "shutdown-ok",
        (P.SHUTDOWN_UNDEPLOY,),
        P.EPILOG_UNDEPLOY,
        (*EPILOG, Step.RELEASE_CONSOLE, Step.DROP_SNAPSHOTS),
    ),
    Row("shutdown-ok", (P.SAVE_MIGRATE,), P.PROLOG_MIGRATE, (*LEAVE_SOURCE, Step.DROP_SNAPSHOTS)),
    Row("shutdown-ko", (P.SHUTDOWN, P.SHUTDOWN_POWEROFF, P.SHUTDOWN_UNDEPLOY), P.RUNNING, REFUSED),
    Row("shutdown-ko", (P.SAVE_MIGRATE,), P.RUNNING, (Step.SAY_ERROR, *BACK)),
    Row("epilog-ok", (P.EPILOG,), P.DONE, DONE),
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
