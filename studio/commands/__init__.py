"""What each command does: workflows in, sentences and files out."""
