"""Poisons: requests that once stopped, hid or falsified a call, each with its expectation."""
