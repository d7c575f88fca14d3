"""The paper's tables: printed numbers, rows, running what is missing, collecting, rendering."""
