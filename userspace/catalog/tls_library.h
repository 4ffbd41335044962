/*
 * A TLS library: which functions move plaintext, and where their arguments are. Read from
 * probes/tls/NAME.json (docs/probe-schema.md). Knowledge only; userspace/collect/tls_file.h finds
 * the places in a file.
 */
#ifndef DAYLIGHT_CATALOG_TLS_LIBRARY_H
#define DAYLIGHT_CATALOG_TLS_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#define TLS_FUNCTIONS_MAX 32
#define TLS_METHODS_MAX 4

enum tls_role {
	TLS_READ, /* gives the application plaintext */
	TLS_WRITE, /* takes it */
	TLS_HANDSHAKE, /* result 1 or 0: it is complete; may receive from the connection */
	TLS_INSIDE, /* may receive from the connection, moves no plaintext */
	TLS_NEW, /* makes a session */
	TLS_CLEAR, /* the session is as new, for another connection */
	TLS_REBIND, /* from now on the session may work for another connection */
	TLS_FREE, /* ends a session */
	TLS_ROLES
};

/* Arguments are counted from 1. */
struct tls_function {
	const char *symbol;
	enum tls_role role;
	/* TLS_NEW: where it puts the session, 0: it returns it. */
	unsigned int session;
	unsigned int buffer; /* plaintext; 0: it has none, only the length is known */
	/* Points to the number of bytes, and the result says success; 0: the result is the number.
	 */
	unsigned int count;
	bool optional; /* not in all versions */
};

struct tls_library {
	const char *name;
	const char **files; /* globs on the last part of a path */
	size_t files_count;
	/*
	 * Returns a table with code addresses at `methods_at`: a handshake may be left by a jump to
	 * one of them. NULL: none.
	 */
	const char *methods;
	unsigned int methods_at[TLS_METHODS_MAX];
	size_t methods_count;
	struct tls_function *functions;
	size_t functions_count;
};

#endif
