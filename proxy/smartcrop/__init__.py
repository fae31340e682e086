"""Find the subject of a picture, and place a crop around it."""
