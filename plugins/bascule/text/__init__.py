"""Text for people: made harmless, folder names as people see them, and the one logger."""
