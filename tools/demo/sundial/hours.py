"""The hours API: sunrise and sunset of the places in the store."""
import datetime

from sundial import sun
from sundial.errors import ApiError


def list_places(store, body):
    return 200, {"places": store.places()}


def show_hours(store, body, place, day):
    found = store.place(place)
    if found is None:
        raise ApiError(404, "no such place")
    try:
        date = datetime.date.fromisoformat(day)
    except ValueError as error:
        raise ApiError(400, "not a date: %s" % error) from error
    rise, fall = sun.hours(date, found["latitude"])
    return 200, {"place": found["name"], "date": day, "sunrise": rise, "sunset": fall}


ROUTES = [
    ("GET", "/v1/places", list_places),
    ("GET", "/v1/places/{place}/hours/{day}", show_hours),
]
