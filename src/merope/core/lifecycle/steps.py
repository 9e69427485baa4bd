"""Steps that several rows have together."""

from merope.core.lifecycle.row import Step

PLACED = (Step.TAKE_CAPACITY, Step.ASSIGN_CONSOLE, Step.OPEN_PROLOG)
TARGET = (Step.TAKE_CAPACITY,)
DONE = (Step.CLOSE_EPILOG, Step.CLOSE_RECORD, Step.DROP_EFFECTS, Step.FREE_ALL)
REMOVED = (Step.RELEASE_CAPACITY, Step.CLOSE_RECORD, Step.DROP_EFFECTS, Step.FREE_ALL)
EPILOG = (Step.CLOSE_RUNNING, Step.RELEASE_CAPACITY, Step.OPEN_EPILOG)
LEAVE = (Step.CLEAR_RESCHED, *EPILOG, Step.RELEASE_CONSOLE)
LEAVE_SOURCE = (Step.RELEASE_SOURCE, Step.OPEN_PROLOG)
BOOTS = (Step.CLOSE_PROLOG, Step.OPEN_RUNNING)
#: A migration's files have come to the target: it does not return any more.
ARRIVED = (Step.LEAVE_SOURCE, Step.CLOSE_PROLOG)
ARRIVED_AND_BOOTS = (*ARRIVED, Step.OPEN_RUNNING)
RUNS = (Step.SET_DEPLOY_ID,)
RESUMED = (Step.COPY_RECORD, Step.OPEN_RUNNING)
BACK = (Step.RETURN_TO_SOURCE, Step.OPEN_RUNNING)
REFUSED = (Step.SAY_ERROR, Step.CLEAR_ACTION)
#: A record for before and one for after; who does not run has no running time in either.
LIVE = (Step.CLEAR_RESCHED, Step.COPY_RECORD, Step.OPEN_RUNNING)
AT_REST = (Step.CLEAR_RESCHED, Step.COPY_RECORD)
