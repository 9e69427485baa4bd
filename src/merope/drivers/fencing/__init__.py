"""Switching hosts off, and reading back that they are."""
