"""The carrier's file: its columns guessed, its records compared with those that are held, and imported."""
