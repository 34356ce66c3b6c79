"""Graphs of operators: what symbols, traced blocks and files become, and the passes that make them fast.

A pass is a function from graph to graph, or from graph to annotations, in a file of its own.
"""
