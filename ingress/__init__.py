"""Takes in what vendors push and what is pulled from them, and makes it durable before it is acknowledged.

Knows a body no further than its partition key. Imports `schemas` and nothing else of the project.
"""
