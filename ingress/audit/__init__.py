"""The ingress's part of the audit trail: refused requests, counted together and sent to `calls.audit`."""
