"""The command line: help, and errors in sentences."""
