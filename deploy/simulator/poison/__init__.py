"""Traffic that once stopped, hid or falsified a call, each with what must come of it."""
