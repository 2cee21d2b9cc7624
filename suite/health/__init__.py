"""Is this installation sound, and did a watched number move?"""
