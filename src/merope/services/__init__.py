"""What the services beside the core have in common: how they log in, are configured, and serve HTTP."""
