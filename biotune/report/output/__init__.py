"""Where a report goes: the page, the files beside it, the terminal."""
