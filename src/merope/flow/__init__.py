"""OneFlow: applications of many machines. A service beside the core, which speaks to it as any client does.

`machine.py` decides (a pure function of a service, the states of its VMs and the time, from tables);
`keeper.py` carries out what was decided; `server.py` is the REST interface.
"""
