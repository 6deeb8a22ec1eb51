"""The front: takes what vendors push, or what is pulled from them, and makes it durable before anybody is told so.

Knows a body no further than its partition key. Imports `schemas` and nothing else of the project.
"""
