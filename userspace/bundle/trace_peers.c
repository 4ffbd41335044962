/*
 * Both ends of a connection are found by what they have in common: addresses and ports, or inodes,
 * while both were open. Where more than one would fit, none does.
 */
#include "bundle/trace_private.h"

#include <stdlib.h>
#include <string.h>

#define CANDIDATES_MAX 64 /* connections that share a key; more are no honest bundle's */

struct peer_key {
	uint64_t a, b, c, d; /* as seen from the accepting side */
	uint32_t row;
};

static int compare_peer_keys(const void *x, const void *y)
{
	const struct peer_key *p = x, *q = y;
	const uint64_t at[] = { p->a, p->b, p->c, p->d }, bt[] = { q->a, q->b, q->c, q->d };

	for (int i = 0; i < 4; i++)
		if (at[i] != bt[i])
			return at[i] < bt[i] ? -1 : 1;
	return 0;
}

static int compare_peer_rows(const void *x, const void *y)
{
	const struct peer_key *p = x, *q = y;
	int order = compare_peer_keys(x, y);

	return order ? order : p->row < q->row ? -1 : p->row > q->row;
}

/* Loopback addresses are each network namespace's own. Hidden ones may be such. */
static bool is_local(const struct trace *t, const struct rec_connection *c)
{
	const char *text = trace_text(t, c->local);

	return !text || !strncmp(text, "127.", 4) || !strcmp(text, "::1");
}

/*
 * The keys under which the accepted end lies; returns how many. The ends of a Unix connection know
 * each other by inodes, but the connecting one may have moved data before it was accepted.
 */
static size_t peer_keys(const struct rec_connection *c, uint32_t row, struct peer_key out[2])
{
	bool in = c->direction == DIRECTION_IN;
	size_t count = 0;

	if (c->family == FAMILY_UNIX) {
		uint64_t client = in ? c->peer_inode : c->inode;
		uint64_t server = in ? c->inode : c->peer_inode;

		if (client != REC_NULL && client)
			out[count++] = (struct peer_key){ client, 0, 0, REC_NULL, row };
		if (server != REC_NULL && server)
			out[count++] = (struct peer_key){ 0, server, 0, REC_NULL, row };
		return count;
	}
	if (c->local == REC_NULL || c->remote == REC_NULL || c->local_port == REC_NULL ||
	    c->remote_port == REC_NULL)
		return 0;
	out[0] = (struct peer_key){
		.a = in ? c->local : c->remote,
		.b = in ? c->local_port : c->remote_port,
		.c = in ? c->remote : c->local,
		.d = in ? c->remote_port : c->local_port,
		.row = row,
	};
	return 1;
}

static uint64_t connection_closed(const struct trace *t, const struct rec_connection *c)
{
	const struct rec_connection_end *end = trace_connection_end(t, c->id);

	return end ? end->time : REC_NULL;
}

/* Are these the ends of one connection, now that their addresses agree? */
static bool ends_agree(const struct trace *t, const struct rec_connection *out,
		       const struct rec_connection *in)
{
	if (out->family != in->family || out->opened == REC_NULL || in->opened == REC_NULL)
		return false;
	if (out->family != FAMILY_UNIX && out->netns != in->netns &&
	    (is_local(t, out) || is_local(t, in)))
		return false;
	return out->opened <= connection_closed(t, in) && in->opened <= connection_closed(t, out);
}

/* The row of the only accepted connection under the key that fits; TRACE_NO_ROW: none, or more. */
static uint32_t peer_find(const struct trace *t, const struct peer_key *accepted, size_t count,
			  const struct peer_key *key)
{
	const struct rec_connection *out = trace_at(t, REC_CONNECTION_KIND, key->row);
	uint32_t found = TRACE_NO_ROW;
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_peer_keys(&accepted[mid], key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (size_t i = lo; i < count && !compare_peer_keys(&accepted[i], key); i++) {
		if (i - lo == CANDIDATES_MAX)
			return TRACE_NO_ROW;
		if (!ends_agree(t, out, trace_at(t, REC_CONNECTION_KIND, accepted[i].row)))
			continue;
		if (found != TRACE_NO_ROW)
			return TRACE_NO_ROW;
		found = accepted[i].row;
	}
	return found;
}

/* Joins the rows of two connections; when two claim one, neither has it. */
static void peer_join(struct trace *t, uint32_t row, uint32_t peer)
{
	if (t->peers[peer] == TRACE_NO_ROW) {
		t->peers[peer] = row;
		t->peers[row] = peer;
		return;
	}
	if (t->peers[peer] != TRACE_TAKEN)
		t->peers[t->peers[peer]] = TRACE_NO_ROW;
	t->peers[peer] = TRACE_TAKEN;
}

int trace_peers_build(struct trace *t, struct err *err)
{
	size_t total = trace_count(t, REC_CONNECTION_KIND), count = 0;
	struct peer_key *accepted = calloc(2 * total + 1, sizeof(*accepted)), keys[2];

	if (!accepted)
		return err_set(err, ERR_INCOMPLETE, "not enough memory for the bundle: free some");
	if (trace_take(t, total, sizeof(*t->peers), &t->peers, err)) {
		free(accepted);
		return -1;
	}
	for (size_t row = 0; row < total; row++) {
		const struct rec_connection *c = trace_at(t, REC_CONNECTION_KIND, row);

		t->peers[row] = TRACE_NO_ROW;
		if (c->direction == DIRECTION_IN)
			count += peer_keys(c, (uint32_t)row, accepted + count);
	}
	if (count)
		qsort(accepted, count, sizeof(*accepted), compare_peer_rows);
	for (size_t row = 0; row < total; row++) {
		const struct rec_connection *c = trace_at(t, REC_CONNECTION_KIND, row);
		uint32_t peer = TRACE_NO_ROW;

		if (c->direction != DIRECTION_OUT)
			continue;
		for (size_t i = 0, n = peer_keys(c, (uint32_t)row, keys);
		     i < n && peer == TRACE_NO_ROW; i++)
			peer = peer_find(t, accepted, count, &keys[i]);
		if (peer != TRACE_NO_ROW)
			peer_join(t, (uint32_t)row, peer);
	}
	free(accepted);
	return 0;
}

const struct rec_connection *trace_peer(const struct trace *t, const struct rec_connection *c)
{
	size_t row =
		(size_t)(c - (const struct rec_connection *)trace_at(t, REC_CONNECTION_KIND, 0));

	return t->peers[row] < TRACE_TAKEN ? trace_at(t, REC_CONNECTION_KIND, t->peers[row]) : NULL;
}
