"""Gate Doctor: which gate of a hand-written LSTM cell is wrong, and why."""
