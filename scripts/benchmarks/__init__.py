"""What hypergraph's overhead costs, beside the alternatives, on the machine at hand.

Theory of operation
===================

Nodes that do nothing leave only the overhead. A *workload* (`workloads.py`) says what is
asked and times it; a *contender* (`contenders/`) says how one library does it. A contender
often has several *ways* to do a workload; they become *rows* of the table, and where ways
differ only in a tuning knob, the best one stands for the row: rivals are shown at their best.

Rule 1: one contender at a time. Each is started in a process of its own (`host.py`), warmed,
measured and closed before the next starts, so nobody's idle threads disturb somebody else.

Rule 2: rounds are interleaved, A B C A B C. A machine that slows down for a minute slows
everybody down, and ratios are taken within a round (`summary.py`).

Rule 3: every answer is checked. A wrong one ends the benchmark with exit code 1.

Rule 4: this package measures and compares; the promised figures are a table (`figures.py`).
"""
