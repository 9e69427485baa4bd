"""The receiver of what the agents of hosts measure: a process beside the core, which may die at any time."""
