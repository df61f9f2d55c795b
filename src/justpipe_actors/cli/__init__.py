"""The command line, on click and rich: the extra ``cli``.

======================================  ==============================================
``main``                                the group of commands; exceptions to sentences
``commands/``                           one file per command: its options, what it does
``options``  ``journal_options``        options that several commands have
``loading``  ``json_input``             a pipe from its file, its state from JSON
``runner``  ``durable_runner``          one run in a loop of its own, under a view
``answers``                             questions of a run, and what is typed as answer
``progress``                            a definition and events to rows      (pure)
``outcome_text``                        an ending to sentences               (pure)
``reports``  ``commit_table``           runs as JSON; figures over many      (pure)
``views``  ``live_view``                a run as lines or JSON; on a terminal
``formatting``                          tables, times, statuses
``output_files``                        files that commands write
``errors``                              refusals, and the exit statuses
``registry``                            the name of the registry in justpipe
======================================  ==============================================
"""

from __future__ import annotations
