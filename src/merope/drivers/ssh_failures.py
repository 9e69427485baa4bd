"""Why a host cannot be reached: what OpenSSH says, in words that name the remedy."""

from collections.abc import Mapping

_REASONS: tuple[tuple[str, str, str], ...] = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its key is not the one that it had", "changed"),
    ("Host key verification failed", "its key is not known", "unknown"),
    ("host key is known for", "its key is not known", "unknown"),
    ("Permission denied", "it accepts none of our keys", "key"),
    ("Too many authentication failures", "it accepts none of our keys", "key"),
    ("Could not resolve hostname", "no address is known for its name", ""),
    ("Connection refused", "nothing listens at its SSH port (connection refused)", ""),
    ("No route to host", "there is no route to it", ""),
    ("Network is unreachable", "its network is unreachable", ""),
    ("timed out", "it does not answer (timed out)", ""),
    ("Connection reset", "it closed the connection", ""),
    ("Connection closed", "it closed the connection", ""),
)
"""A part of what ssh says, what that means, and the name of the advice."""


def why_not_reached(status: int | None, stderr: str, advice: Mapping[str, str]) -> str:
    """A clause; `status` is None when ssh had to be stopped. `advice` has the keys "key", "unknown" and
    "changed"."""
    if status is None:
        return "it does not answer (timed out)"
    for part, reason, remedy in _REASONS:
        if part in stderr:
            return f"{reason}; {advice[remedy]}" if remedy else reason
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"ssh ended with status {status}"
