"""The tools as data, one module for each; a module is imported when its command runs."""
