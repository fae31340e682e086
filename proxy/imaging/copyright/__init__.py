"""Keep what an original says about its copyright and author, word for word, and nothing else.

It may stand in three places: EXIF, IPTC and XMP. Each is kept where it was; formats that have no
place for IPTC, or for EXIF, get it in XMP.
"""
