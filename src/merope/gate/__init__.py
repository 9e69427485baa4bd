"""OneGate: what guests may see and change of the cloud. A service beside the core."""
