"""The sun's hours in local solar time, good to a few minutes."""
import math

NIGHT, DAY = 0.0, 24.0


def declination(date):
    """The sun's declination in radians on a day of the year."""
    return -math.radians(23.44) * math.cos(2 * math.pi * (date.timetuple().tm_yday + 10) / 365)


def clock(hours):
    minutes = round(hours * 60)
    return "%02d:%02d" % divmod(minutes, 60)


def length_of_day(date, latitude):
    x = -math.tan(math.radians(latitude)) * math.tan(declination(date))
    if x >= 1:
        return NIGHT
    if x <= -1:
        return DAY
    return 2 * math.degrees(math.acos(x)) / 15


def hours(date, latitude):
    half = length_of_day(date, latitude) / 2
    return clock(12 - half), clock(12 + half)
