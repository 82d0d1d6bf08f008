"""Attachments: bytes under the hash of their content, kept outside what scripts touch.

Invariant: bytes are stored before anything refers to them, and owned bytes are never removed.
"""
