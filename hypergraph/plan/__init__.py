"""What a run does next: pure decisions over a compiled graph. See :mod:`hypergraph.plan.decide`."""

from hypergraph.plan.decide import Decision, decide
from hypergraph.plan.events import Event, Failed, Paused, Resumed, Started, Succeeded
from hypergraph.plan.plan import END_NAME, Nested, Plan, PlanNode, compile_plan
from hypergraph.plan.schedule import static_schedule
from hypergraph.plan.state import Conflict, Phase, RunState
from hypergraph.plan.tree import Broken, Due, Frame, Note, Pause, RunTree, TaskEnded, task_of

__all__ = [
    "END_NAME",
    "Broken",
    "Conflict",
    "Decision",
    "Due",
    "Event",
    "Failed",
    "Frame",
    "Nested",
    "Note",
    "Pause",
    "Paused",
    "Phase",
    "Plan",
    "PlanNode",
    "Resumed",
    "RunState",
    "RunTree",
    "Started",
    "Succeeded",
    "TaskEnded",
    "compile_plan",
    "decide",
    "static_schedule",
    "task_of",
]
