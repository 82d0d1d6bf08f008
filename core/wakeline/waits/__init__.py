"""Everything that waits is one primitive: identities and keys of slots, resolutions, the rules of the mailbox. Pure."""
