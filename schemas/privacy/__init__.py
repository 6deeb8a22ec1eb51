"""Stand-ins for phone numbers, where the numbers themselves must not stand: tokens and masked forms."""
