"""The store driver: places, tokens and alarms in an SQLite file. Another driver could stand here."""
import contextlib
import os
import sqlite3

PLACES = [("athens", 37.98), ("lima", -12.05), ("oslo", 59.91), ("quito", -0.18),
          ("tromso", 69.65), ("wellington", -41.29)]
SCHEMA = """
CREATE TABLE IF NOT EXISTS place (name TEXT PRIMARY KEY, latitude REAL NOT NULL);
CREATE TABLE IF NOT EXISTS token (value TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS alarm (id TEXT PRIMARY KEY, place TEXT NOT NULL, at TEXT NOT NULL);
"""


class Store:
    def __init__(self, folder):
        self.path = os.path.join(folder, "sundial.db")
        self.token_path = os.path.join(folder, "token")

    @contextlib.contextmanager
    def session(self):
        connection = sqlite3.connect(self.path, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def create(self):
        """Makes the database if there is none; the first token is the one in the file `token`."""
        with open(self.token_path, encoding="utf-8") as file:
            token = file.read().strip()
        with self.session() as db:
            db.executescript(SCHEMA)
            db.executemany("INSERT OR IGNORE INTO place VALUES (?, ?)", PLACES)
            db.execute("INSERT OR IGNORE INTO token VALUES (?)", (token,))

    def rows(self, query, *values):
        with self.session() as db:
            return [dict(row) for row in db.execute(query, values)]

    def tokens(self):
        return [row["value"] for row in self.rows("SELECT value FROM token")]

    def places(self):
        return [row["name"] for row in self.rows("SELECT name FROM place ORDER BY name")]

    def place(self, name):
        found = self.rows("SELECT * FROM place WHERE name = ?", name)
        return found[0] if found else None

    def alarms(self):
        return self.rows("SELECT * FROM alarm ORDER BY id")

    def alarm(self, alarm_id):
        found = self.rows("SELECT * FROM alarm WHERE id = ?", alarm_id)
        return found[0] if found else None

    def add_alarm(self, alarm):
        with self.session() as db:
            db.execute("INSERT INTO alarm VALUES (?, ?, ?)",
                       (alarm["id"], alarm["place"], alarm["at"]))

    def remove_alarm(self, alarm_id):
        with self.session() as db:
            return db.execute("DELETE FROM alarm WHERE id = ?", (alarm_id,)).rowcount == 1
