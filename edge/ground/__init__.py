"""The ground: what serves people after the landing."""
