"""The output of a report: the page, the files beside it, the terminal."""
