"""Pages for people: the home page and what browsers ask every server for."""
