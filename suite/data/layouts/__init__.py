"""What lies in a folder: which files are images, which of them belong together, and where the sets of the cards are."""
