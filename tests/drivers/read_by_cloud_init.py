"""Reads a directory as cloud-init reads a CONTEXT image, and prints what it found as JSON.

    python3 read_by_cloud_init.py DIRECTORY '{"<MAC>": "<interface>"}'

Runs in a Python that has cloud-init; the interfaces are those that the guest's kernel would have.
"""

import json
import sys

from cloudinit.sources import DataSourceOpenNebula  # type: ignore[import-not-found]

interfaces = json.loads(sys.argv[2])
DataSourceOpenNebula.get_physical_nics_by_mac = lambda _distro: interfaces
print(json.dumps(DataSourceOpenNebula.read_context_disk_dir(sys.argv[1], distro=None)))
