"""What each trial of a study is made from."""
