"""Sundial: the sample service of the demo. It tells the sun's hours of places and keeps alarms."""
