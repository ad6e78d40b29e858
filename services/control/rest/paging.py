"""Long lists in pages: a limit, and a cursor that names the last item of the page before."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, Response
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.control.rest.problem import bad_value

LONGEST = 1000
Row = TypeVar("Row")


@dataclass(frozen=True)
class Page:
    """Which part of a list.

    Parameters
    ----------
    limit : int
        Most items.
    after : tuple
        Key of the item before the first; empty at the beginning.
    """

    limit: int = LONGEST
    after: tuple[str | int, ...] = ()

    def of(
        self, session: Session, query: Select[Any], *key: InstrumentedAttribute[Any], newest_first: bool = False
    ) -> list[Any]:
        """The rows of this page, and one more if there is one.

        Parameters
        ----------
        session : Session
        query : Select
            For all rows, in any order.
        *key : columns
            Which order the rows, and together name each one.
        newest_first : bool
            Descending order.
        """
        if self.after:
            if [type(part) for part in self.after] != [column.type.python_type for column in key]:
                raise _bad_cursor(None)
            columns = tuple_(*key)
            query = query.where(columns < self.after if newest_first else columns > self.after)
        order = [column.desc() for column in key] if newest_first else list(key)
        return list(session.scalars(query.order_by(*order).limit(self.limit + 1)))


async def _page(
    limit: Annotated[int, Query(ge=1, le=LONGEST, description="Most items in one answer.")] = 100,
    cursor: Annotated[str | None, Query(max_length=256, description="From the `next` link of the page before.")] = None,
) -> Page:
    if cursor is None:
        return Page(limit)
    try:
        after = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, RecursionError):
        raise _bad_cursor(cursor) from None
    if not isinstance(after, list) or not after or not all(_storable(part) for part in after):
        raise _bad_cursor(cursor)
    return Page(limit, tuple(after))


def _storable(part: object) -> bool:
    """Whether a database takes it: integers of 64 bits, and text without lone surrogates or NUL."""
    if type(part) is int:
        return abs(part) < 1 << 63
    return type(part) is str and part.isprintable()


PageDep = Annotated[Page, Depends(_page)]
LINK: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {"description": 'The next page, rel="next", if there is one.', "schema": {"type": "string"}}
        }
    }
}


def one_page(
    page: Page, rows: Sequence[Row], key: Sequence[str], request: Request, response: Response
) -> Sequence[Row]:
    """The rows of a page without the one behind it, of which the answer's `Link` header tells.

    Parameters
    ----------
    page : Page
    rows : sequence
        As `Page.of` gives them.
    key : sequence of str
        Attributes that order the rows.
    request, response
    """
    shown = rows[: page.limit]
    if len(rows) > len(shown):
        last = [getattr(shown[-1], name) for name in key]
        cursor = base64.urlsafe_b64encode(json.dumps(last).encode()).decode()
        following = request.url.include_query_params(limit=page.limit, cursor=cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return shown


def _bad_cursor(cursor: str | None) -> Exception:
    return bad_value("cursor", "is none of this list; take it from the next link of the page before", cursor)
