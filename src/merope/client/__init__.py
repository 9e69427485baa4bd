"""The client library of the API; the commands and every service beside the core use it."""

from merope.client.client import Client, parse_document, whole
from merope.client.discovery import (
    Cloud,
    Places,
    auth_file,
    find_cloud,
    find_endpoint,
    find_flow,
    find_home,
    timeout_of,
)
from merope.client.errors import BadAnswer, ClientError, ConnectionFailed, Fault, NoCredentials, OneError
from merope.client.kinds import KINDS, Filter, Kind
from merope.client.transport import HttpTransport, Transport

__all__ = [
    "KINDS",
    "BadAnswer",
    "Client",
    "ClientError",
    "Cloud",
    "ConnectionFailed",
    "Fault",
    "Filter",
    "HttpTransport",
    "Kind",
    "NoCredentials",
    "OneError",
    "Places",
    "Transport",
    "auth_file",
    "find_cloud",
    "find_endpoint",
    "find_flow",
    "find_home",
    "parse_document",
    "timeout_of",
    "whole",
]
