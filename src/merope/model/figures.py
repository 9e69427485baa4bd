"""MONITORING documents: what was measured of a host or a VM, as `info` shows it and the database keeps it.

Source: spec xml.yaml `host.MONITORING` and `vm.MONITORING`.
"""

from collections.abc import Iterable, Mapping

Values = Mapping[str, object]


def host_document(oid: int, time: int, figures: Values) -> str:
    """`figures` has FREE_CPU, USED_CPU (percent of one CPU), FREE_MEMORY, USED_MEMORY (KB), NETRX, NETTX."""
    capacity = _elements((name, figures[name]) for name in _CAPACITY)
    system = _elements((name, figures[name]) for name in _SYSTEM)
    return (
        f"<MONITORING><TIMESTAMP>{time}</TIMESTAMP><ID>{oid}</ID>"
        f"<CAPACITY>{capacity}</CAPACITY><SYSTEM>{system}</SYSTEM></MONITORING>"
    )


_CAPACITY = ("FREE_CPU", "FREE_MEMORY", "USED_CPU", "USED_MEMORY")
_SYSTEM = ("NETRX", "NETTX")


def vm_document(oid: int, time: int, figures: Values) -> str:
    """Every figure is an element; a list has one for each of its mappings, with elements of their own."""
    return f"<MONITORING>{_elements(sorted({**figures, 'ID': oid, 'TIMESTAMP': time}.items()))}</MONITORING>"


def _elements(pairs: Iterable[tuple[str, object]]) -> str:
    return "".join(
        "".join(f"<{name}>{_elements(inner.items())}</{name}>" for inner in value)
        if isinstance(value, list)
        else f"<{name}><![CDATA[{value}]]></{name}>"
        for name, value in pairs
    )
