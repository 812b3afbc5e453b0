"""Timing beside what users would pick instead."""
