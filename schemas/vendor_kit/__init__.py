"""The tools of a vendor's file: its contract, fields, telephone numbers, instants, money and causes."""
