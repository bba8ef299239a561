"""The plan of each trial of a study: everything that it is made from."""
