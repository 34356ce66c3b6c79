"""The dependency engine: tasks that read and write variables, run in any order that respects them."""
