"""The agent: what runs on a host, measures it and its VMs, and tells the front-end.

Standard library of Python 3.7 only, for it runs on whatever Python a host has.
"""
