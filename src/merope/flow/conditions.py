"""What may hold of a role: the conditions of its table's rows."""

from merope.flow.service import Node, Role
from merope.flow.states import TERMINABLE, Phase, State
from merope.flow.turn import Turn

#: How often a VM that fails while its role comes up is made anew before the role has failed.
RETRIES = 1


def ending(turn: Turn, role: Role) -> bool:
    """The service is undeployed, and nobody who needs this role is left."""
    if turn.service.state is not State.UNDEPLOYING:
        return False
    if not turn.straight or turn.service.purge:
        return True
    return all(c.state is State.DONE for c in turn.service.roles if role.name in c.parents)


def starting(turn: Turn, role: Role) -> bool:
    """The service is deployed, its networks are there, and so is everybody whom this role needs."""
    service = turn.service
    if service.state is not State.DEPLOYING or any(network.id is None for network in service.networks):
        return False
    if not turn.straight:
        return True
    return all(p.state is State.RUNNING for p in service.roles if p.name in role.parents)


def refused(_: Turn, role: Role) -> bool:
    """The core refused something that the role needs; a recover takes that back."""
    return bool(role.failure)


def free(_: Turn, role: Role) -> bool:
    """Nothing was refused."""
    return not role.failure


def gone(turn: Turn, role: Role) -> bool:
    """A VM is no more."""
    return any(turn.phase(node) is Phase.GONE for node in role.nodes)


def missing(_: Turn, role: Role) -> bool:
    """There are fewer VMs than its cardinality."""
    return len(role.live) < role.cardinality


def excess(_: Turn, role: Role) -> bool:
    """There are more VMs than its cardinality."""
    return len(role.live) > role.cardinality


def troubled(turn: Turn, node: Node) -> bool:
    phase = turn.phase(node)
    return not node.boot and (phase is Phase.FAILED or phase is Phase.UNKNOWN)


def faulty(turn: Turn, role: Role) -> list[Node]:
    """While a role is scaled, only those that are new: others are seen to when it is over."""
    scaling = role.state is State.SCALING
    return [n for n in role.live if troubled(turn, n) and (n.scale_up or not scaling)]


def may_retry(turn: Turn, role: Role) -> bool:
    """A VM failed for the first time."""
    return any(turn.phase(n) is Phase.FAILED and n.retries < RETRIES for n in faulty(turn, role))


def failed(turn: Turn, role: Role) -> bool:
    """A VM failed again, or nobody knows of it; while the role is scaled, a new one."""
    return bool(faulty(turn, role))


def down(turn: Turn, role: Role) -> bool:
    """A VM does not run."""
    return any(turn.phase(node) is not Phase.UP for node in role.live)


def complete(_: Turn, role: Role) -> bool:
    return len(role.nodes) == role.cardinality and not any(node.disposed for node in role.nodes)


def up(turn: Turn, role: Role) -> bool:
    """All its VMs are there and run; with a ready gate, their guests have said that they are ready."""
    return complete(turn, role) and all(turn.ready(node) for node in role.nodes)


def settled(turn: Turn, role: Role) -> bool:
    """Those that came run, as `up` has it; those that were to go are gone."""
    return complete(turn, role) and all(turn.ready(n) for n in role.nodes if n.scale_up)


def stuck(turn: Turn, role: Role) -> bool:
    """A VM was asked to end, which the core took on, and lives on all the same."""
    return any(lives_on(turn, node) and turn.view(node).seen for node in role.nodes)


def lives_on(turn: Turn, node: Node) -> bool:
    return node.disposed and turn.view(node).asked and turn.phase(node) in TERMINABLE


def doubtful(turn: Turn, role: Role) -> bool:
    """That seems so, but messages may have come in another order than answers."""
    return any(lives_on(turn, node) and not turn.view(node).seen for node in role.nodes)


def empty(_: Turn, role: Role) -> bool:
    """It has no VM."""
    return not role.nodes


def cooled(turn: Turn, role: Role) -> bool:
    """Its cooldown is over."""
    return turn.now >= role.cooldown_end


def to_boot(_: Turn, role: Role) -> bool:
    """VMs are to be started again, after a recover."""
    return any(node.boot for node in role.live)


def to_end(turn: Turn, role: Role) -> bool:
    """VMs are still to be asked to end."""
    return any(not node.disposed or unasked(turn, node) for node in role.nodes)


def unasked(turn: Turn, node: Node) -> bool:
    return node.disposed and not turn.view(node).asked and turn.phase(node) is not Phase.GONE


def disposing(turn: Turn, role: Role) -> bool:
    """VMs that are to go are still to be asked to end."""
    return any(unasked(turn, node) for node in role.nodes)


def unexplained(turn: Turn, role: Role) -> bool:
    """A VM failed for good, and nobody has asked why."""
    return any(not turn.view(node).error and not turn.view(node).seen for node in faulty(turn, role))
