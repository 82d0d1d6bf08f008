"""Triggers: sources whose occurrences start processes, subscriptions to them, and schedules. Pure."""
