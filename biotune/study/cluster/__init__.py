"""Ray: started here or joined, kept private by a token, and how often what died is tried again."""
