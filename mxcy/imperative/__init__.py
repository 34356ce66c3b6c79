"""Calling operators one by one, and recording the calls for a gradient."""
