"""The command line, on click and rich: the extra ``cli``.

=============================  ====================================================
``main``                       the group of commands, and what becomes of exceptions
``commands/``                  one file per command: its options, what it does
``loading``  ``values``        a pipe from its file, its state from JSON
``strict``                     how JSON is believed
``looping``  ``conducting``    one run in a loop of its own, under a view
``signals``                    what Ctrl-C does to it
``recording``                  whether it is stored
``outline``  ``progress``      a definition as rows; events to rows        (pure)
``rows``  ``words``            rows to lines; an ending to sentences       (pure)
``views``  ``viewing``         the socket of a view, and which one fits
``live``  ``plain``            the rows on a terminal; as lines, as JSON
``store``  ``stored``          where stored runs are; one told again as rows
``shapes``  ``summing``        runs as JSON; figures over many             (pure)
``console``  ``output``         tables and statuses; where documents go
``refusals``  ``statuses``     how to say no, and the exit statuses
``unread``                     when nobody reads the output any more
=============================  ====================================================
"""

from __future__ import annotations
