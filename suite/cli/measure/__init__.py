"""Verbs that measure and restore without training: costs, times, scans, images and their scores, and files of weights."""
