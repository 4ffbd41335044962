"""The calendar API: the longest and the shortest day of a year."""
import datetime

from sundial import sun
from sundial.errors import ApiError


def show_year(store, body, place, year):
    found = store.place(place)
    if found is None or not year.isdigit() or not 1 <= int(year) <= 9999:
        raise ApiError(404, "no such place or year")
    first = datetime.date(int(year), 1, 1)
    days = [first + datetime.timedelta(days=n) for n in range(365)]
    days.sort(key=lambda day: sun.length_of_day(day, found["latitude"]))
    return 200, {"shortest": days[0].isoformat(), "longest": days[-1].isoformat()}


ROUTES = [("GET", "/v1/places/{place}/calendar/{year}", show_year)]
