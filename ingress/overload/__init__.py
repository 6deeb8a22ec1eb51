"""Bounds connections and sheds load: which requests are served, wait, or are refused first."""
