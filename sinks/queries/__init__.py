"""The statements behind the commands on dead letters and conflicts."""
