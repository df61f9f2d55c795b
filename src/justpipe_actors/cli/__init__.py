"""The command line, on click and rich: the extra ``cli``.

===============  =================================================================
``main``         the group of commands, and what becomes of their exceptions
``commands/``    one file per command: its options, and what it does with them
``loading``      ``module:pipe`` or ``path/to/file.py:pipe`` to a pipe
``values``       JSON to the state the pipe wants
``conducting``   one run under a view, and what signals do to it
``progress``     events to rows, pure
``live``         the rows on a terminal
``plain``        the rows as lines, and the events as JSON
``formatting``   how times, statuses and foreign text are written
===============  =================================================================
"""
