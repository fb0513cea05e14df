"Programs that print the figures of the documentation; run them as `python -m benchmarks.<name>`"
