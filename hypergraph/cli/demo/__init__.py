"""A real batch to look at: a survey of the Python source files on this machine.

`survey` is the graph, written as a user would write it; `sources` finds the files; `show` prints;
`command` runs the survey on one process and on workers and compares; `kill` gets in its way.
"""
