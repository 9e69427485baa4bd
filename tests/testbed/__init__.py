"""Hosts on one machine: each a set of namespaces with an sshd and a libvirtd of its own, as real ones have.

    python -m tests.testbed up | down | status | power HOST on|off|cycle|status | link HOST up|down

`Bed` is the same for tests. A host has a network, mounts, a hostname and processes of its own; its disks are
directories of the bed. All hosts see the directory `shared`, which stands for storage on a network.
"""
