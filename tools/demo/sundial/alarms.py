"""The alarms API: alarms at sunrise or sunset of a place."""
import uuid

from sundial.errors import ApiError


def list_alarms(store, body):
    return 200, {"alarms": store.alarms()}


def create_alarm(store, body):
    if not isinstance(body, dict) or body.get("at") not in ("sunrise", "sunset"):
        raise ApiError(400, "an alarm needs a place, and 'at': sunrise or sunset")
    if store.place(str(body.get("place"))) is None:
        raise ApiError(400, "no such place")
    alarm = {"id": uuid.uuid4().hex, "place": body["place"], "at": body["at"]}
    store.add_alarm(alarm)
    return 201, alarm


def show_alarm(store, body, alarm_id):
    alarm = store.alarm(alarm_id)
    if alarm is None:
        raise ApiError(404, "no such alarm")
    return 200, alarm


def delete_alarm(store, body, alarm_id):
    if not store.remove_alarm(alarm_id):
        raise ApiError(404, "no such alarm")
    return 204, None


ROUTES = [
    ("GET", "/v1/alarms", list_alarms),
    ("POST", "/v1/alarms", create_alarm),
    ("GET", "/v1/alarms/{alarm_id}", show_alarm),
    ("DELETE", "/v1/alarms/{alarm_id}", delete_alarm),
]
