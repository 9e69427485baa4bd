"""The demonstration guest; see build.py."""
