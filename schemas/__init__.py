"""Every contract that crosses the border of a process, and nothing that does I/O; `README.md` lists them."""
