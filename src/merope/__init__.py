"""Merope: an OpenNebula-5.12-compatible cloud manager."""

__version__ = "0.1.0"
#: What `one.system.version` answers: the release whose interfaces are kept.
COMPATIBLE_VERSION = "5.12.0"
