"""The playground: a page on which people try operations and copy links."""
