"""All numbers of a report, from the tables of one study or several."""
