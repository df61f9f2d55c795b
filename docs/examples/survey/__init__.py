"""Surveys a Python code base: an example of justpipe_actors that is of use by itself."""
