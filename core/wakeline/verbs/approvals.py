"""The list of approvals that can be answered.

Invariant: a page is read from the index that the scripts keep; nothing is looked for among all that waits.
"""

from __future__ import annotations

from wakeline.observe.approvals import ApprovalView, approval_of
from wakeline.pages import Page, first_of, place_of
from wakeline.store import approvals
from wakeline.store.approvals import OpenApproval, Place
from wakeline.store.calls import Program
from wakeline.values import check_number

MOST_AT_ONCE = 256


def open_page(after: ApprovalView | str | None, limit: int) -> Program[Page[ApprovalView]]:
    """Approvals that can be answered, those that were asked first first; ``after`` the last one of a page, or its
    cursor."""
    check_number("limit", limit)
    place = None
    if after is not None:
        place = Place(*place_of(after.cursor if isinstance(after, ApprovalView) else after))
    found: list[OpenApproval] = []
    while len(found) <= limit:
        page = yield approvals.page(min(limit + 1 - len(found), MOST_AT_ONCE), place)
        found += page.rows
        place = page.following
        if place is None:
            break
    views = [approval_of(row) for row in found]
    return first_of(views, limit, [view.cursor for view in views])
