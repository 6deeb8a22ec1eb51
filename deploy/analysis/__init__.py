"""The implementation of the commands for people who analyse calls: prefixes of numbers, and questions."""
