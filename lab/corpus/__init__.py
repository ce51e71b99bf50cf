"""What the practice site is filled with: people, messages, filters, calendars, and the inventory of all of it."""
