"""Processes: started, watched, restarted and stopped; their ports, directories, logs and metrics."""
