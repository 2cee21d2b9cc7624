"""The harness: tasks, data, metrics, training, evaluation, cost, orchestration, records, report, command line.

Importing it costs nothing: torch, Ray and pandas are imported by the functions that need them.
"""
