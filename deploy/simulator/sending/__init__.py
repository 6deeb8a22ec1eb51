"""The sending of invented traffic: requests, repetitions, the pull API, and the ledger of what was sent."""
