"""The audit trail: the entries of the topic `calls.audit`."""
