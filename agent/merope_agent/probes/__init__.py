"""What is measured: each module has functions that answer a template's text."""
