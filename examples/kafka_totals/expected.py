"""Computes, without Wallaroo, the totals of orders: one after each order."""

from collections import Counter


def totals_of(orders: list[dict[str, object]]) -> list[dict[str, object]]:
    counts: Counter[str] = Counter()
    cents: Counter[str] = Counter()
    totals: list[dict[str, object]] = []
    for order in orders:
        user = str(order["user"])
        counts[user] += 1
        cents[user] += int(str(order["cents"]))
        totals.append({"user": user, "orders": counts[user], "cents": cents[user]})
    return totals
