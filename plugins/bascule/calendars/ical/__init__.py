"""iCalendar and vCard: lines and components from octets, what their values mean, zones, occurrences."""
