"""What a role does when a row of its table is followed."""

from merope.flow import conditions as is_
from merope.flow.conditions import RETRIES
from merope.flow.service import Role
from merope.flow.states import TERMINABLE, Phase, State
from merope.flow.turn import Boot, EndVm, Look, MakeVm, Remake, Turn


def make(turn: Turn, role: Role) -> None:
    """Make the VMs that are missing."""
    missing = role.cardinality - len(role.live)
    turn.actions += [MakeVm(role.name, role.last_vmname + number) for number in range(missing)]


def shrink(turn: Turn, role: Role) -> None:
    """End VMs: first those that do not run, then the oldest."""
    by_worth = sorted(role.live, key=lambda node: turn.phase(node) is Phase.UP)
    for node in by_worth[: len(role.live) - role.cardinality]:
        node.disposed, node.boot = True, False
    dispose(turn, role)


def dispose(turn: Turn, role: Role) -> None:
    """Ask those to end that are to go, where the core will take the order; else wait for their next state."""
    hard = (role.shutdown_action or turn.service.shutdown_action or "terminate").endswith("hard")
    for node in role.nodes:
        if not is_.unasked(turn, node):
            continue
        phase = turn.phase(node)
        if turn.service.purge and not turn.service.gently:
            turn.actions.append(EndVm(role.name, node.vm_id, "delete"))
        elif phase in TERMINABLE:
            forced = hard or turn.service.purge or phase in (Phase.UNKNOWN, Phase.FAILED)
            turn.actions.append(EndVm(role.name, node.vm_id, "terminate-hard" if forced else "terminate"))


def end_all(turn: Turn, role: Role) -> None:
    """Ask all VMs to end, those on their way when they have arrived."""
    for node in role.nodes:
        node.disposed, node.boot = True, False
    dispose(turn, role)


def begin_anew(_: Turn, role: Role) -> None:
    """Forget what was refused."""
    role.failure = ""


def drop_gone(turn: Turn, role: Role) -> None:
    """Forget VMs that are no more; one that ended by other hands makes the role smaller."""
    kept = [node for node in role.nodes if turn.phase(node) is not Phase.GONE]
    lost = [n.vm_id for n in role.nodes if turn.phase(n) is Phase.GONE and not n.disposed]
    role.nodes = kept
    if lost and turn.service.state is not State.UNDEPLOYING:
        role.cardinality = max(0, role.cardinality - len(lost))
        told = ", ".join(map(str, lost))
        turn.service.note(
            turn.now, f"VM {told} of role {role.name} is gone: cardinality {role.cardinality}", "W"
        )


def retry(turn: Turn, role: Role) -> None:
    """Make the VM anew, with its id."""
    for node in is_.faulty(turn, role):
        if turn.phase(node) is Phase.FAILED and node.retries < RETRIES:
            turn.actions.append(Remake(role.name, node.vm_id))


def tell_failed(turn: Turn, role: Role) -> None:
    """Note why in the log and in `failure`."""
    nodes = [n for n in role.nodes if is_.troubled(turn, n) or (is_.lives_on(turn, n) and turn.view(n).seen)]
    reasons = [f"VM {n.vm_id}: {turn.view(n).error or turn.phase(n).value}" for n in nodes]
    role.failure = role.failure or "; ".join(reasons)[:1000]
    turn.service.note(turn.now, f"Role {role.name}: {role.failure}", "E")


def look(turn: Turn, role: Role) -> None:
    """Ask the core what became of the VM."""
    turn.actions += [
        Look(role.name, n.vm_id) for n in role.nodes if is_.lives_on(turn, n) and not turn.view(n).seen
    ]


def ask_why(turn: Turn, role: Role) -> None:
    """Ask the core why the VM failed."""
    turn.actions += [Look(role.name, n.vm_id) for n in is_.faulty(turn, role) if not turn.view(n).error]


def boot(turn: Turn, role: Role) -> None:
    """Start VMs again."""
    for node in role.live:
        if node.boot and turn.phase(node) in (Phase.UNKNOWN, Phase.RESTING):
            turn.actions.append(Boot(role.name, node.vm_id))
        elif node.boot and turn.phase(node) in (Phase.UP, Phase.FAILED):
            node.boot = False


def cool_down(turn: Turn, role: Role) -> None:
    """Begin the cooldown: of the policy, else of the role, else of the server."""
    seconds = role.rest.pop("next_cooldown", None)
    if seconds is None:
        seconds = turn.default_cooldown if role.cooldown is None else role.cooldown
    role.cooldown_end = turn.now + int(seconds)
    clear_arrows(turn, role)


def clear_arrows(_: Turn, role: Role) -> None:
    """VMs that came are like the others."""
    for node in role.nodes:
        node.scale_up = False


def tell_scaling(turn: Turn, role: Role) -> None:
    """Note it in the log."""
    has, word = len(role.live), "up" if len(role.live) < role.cardinality else "down"
    turn.service.note(turn.now, f"Role {role.name} scaling {word} from {has} to {role.cardinality} nodes")


def nothing(_: Turn, __: Role) -> None:
    return None
