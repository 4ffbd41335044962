"""The error that handlers raise; the application turns it into an answer."""


class ApiError(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
