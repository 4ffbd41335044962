"""Lets in who shows a token that the store knows. Stands before every handler."""
import hmac


class TokenRequired:
    def __init__(self, application, store, respond):
        self.application = application
        self.store = store
        self.respond = respond

    def is_known(self, token):
        return any(hmac.compare_digest(token, known) for known in self.store.tokens())

    def __call__(self, environ, start_response):
        if not self.is_known(environ.get("HTTP_X_AUTH_TOKEN", "")):
            return self.respond(start_response, 401, {"error": "a valid token is required"})
        return self.application(environ, start_response)
