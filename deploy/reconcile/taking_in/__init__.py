"""Ways in which calls that only the carrier has come to us: its file imported, its pull API asked for single calls."""
