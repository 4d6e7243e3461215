"""Whether an accelerator really did the work: read off the graph, not off the word of whoever loaded it."""

from __future__ import annotations

from collections.abc import Sequence

from edge.masks.interpreter import Operator
from edge.tools.benchmark import Delegation

DELEGATE = "DELEGATE"


def owned(operators: Sequence[Operator]) -> list[Operator]:
    """The operators of the file that some delegate took over.

    The graph lists both those and the delegates' nodes: what lies between a node's outputs and its inputs is its own.
    """
    makers = {tensor: operator for operator in operators if operator.name != DELEGATE for tensor in operator.outputs}
    taken: dict[int, Operator] = {}
    for node in (operator for operator in operators if operator.name == DELEGATE):
        edge, given = list(node.outputs), set(node.inputs)
        while edge:
            tensor = edge.pop()
            maker = makers.get(tensor)
            if maker is None or tensor in given or id(maker) in taken:
                continue
            taken[id(maker)] = maker
            edge += maker.inputs
    return [operator for operator in operators if id(operator) in taken]


def delegation(operators: Sequence[Operator]) -> Delegation:
    """The count of it."""
    partitions = sum(operator.name == DELEGATE for operator in operators)
    return Delegation(len(operators) - partitions, len(owned(operators)), partitions)


def refusal(accelerator: str, own: str | None, operators: Sequence[Operator] | None) -> str | None:
    """Why a time must not be printed as this accelerator's; None when it did the work, or none was promised.

    ``own`` is the operator that stands for it in the graph (``Traits.operator``); None: any that a delegate owns.
    """
    if accelerator == "cpu":
        return None
    if operators is None:
        return f"the runtime does not tell which operators {accelerator} ran, so its time proves nothing"
    mine = [operator for operator in owned(operators) if own in (None, operator.name)]
    if mine:
        return None
    return (
        f"{accelerator} was loaded but owns none of the {delegation(operators).operators} operators, so the CPU would "
        "have been measured; compile the model for it, and check that the delegate fits the interpreter"
    )
