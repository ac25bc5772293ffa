"""A grammar: which token may follow which, as a table that any loop can run."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grammar:
    """A finite automaton over token ids.

    Args:
        allowed: bool array (states, vocab_size): what may come next.
        next_state: int32 array (states, vocab_size): the state after it.
        start: int, the state after BOS.
    """

    allowed: np.ndarray
    next_state: np.ndarray
    start: int

    def state_after(self, ids):
        """The state after some ids (BOS aside), or None where one is forbidden."""
        state = self.start
        for token_id in np.asarray(ids).tolist():
            if not self.allowed[state, token_id]:
                return None
            state = int(self.next_state[state, token_id])
        return state

    def accepts(self, ids):
        """Whether each id is allowed in its place."""
        return self.state_after(ids) is not None
