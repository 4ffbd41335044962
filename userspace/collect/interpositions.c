/* What stands in another's place, said once each. */
#include "collect/interpositions.h"

#include <stdlib.h>
#include <string.h>

#include "collect/modules.h"

#define KEPT_MAX_COUNT 100000

struct kept {
	char *key; /* process, kind, place, by: said already, or waiting */
	struct rec_interposition rec;
	bool waits;
	UT_hash_handle hh;
};

struct interpositions {
	struct session *s;
	struct kept *kept;
	size_t waiting;
};

struct interpositions *interpositions_new(struct session *s)
{
	struct interpositions *i = calloc(1, sizeof(*i));

	if (i)
		i->s = s;
	return i;
}

void interpositions_free(struct interpositions *i)
{
	struct kept *k, *next;

	if (!i)
		return;
	HASH_ITER(hh, i->kept, k, next) {
		HASH_DEL(i->kept, k);
		free(k->key);
		free(k);
	}
	free(i);
}

static void put(struct interpositions *i, struct kept *k)
{
	k->rec.id = bundle_writer_id(i->s->writer, REC_INTERPOSITION_KIND);
	bundle_writer_put(i->s->writer, REC_INTERPOSITION_KIND, &k->rec);
}

void interpositions_add(struct interpositions *i, const struct process *p,
			const struct interposition *what)
{
	struct bundle_writer *w = i->s->writer;
	char key[4400];
	struct kept *k;

	snprintf(key, sizeof(key), "%u %s %llu %s", p->serial, what->kind,
		 (unsigned long long)what->by, what->place);
	HASH_FIND_STR(i->kept, key, k);
	if (k || HASH_COUNT(i->kept) >= KEPT_MAX_COUNT)
		return;
	k = calloc(1, sizeof(*k));
	if (!k || !(k->key = strdup(key))) {
		free(k);
		return;
	}
	HASH_ADD_KEYPTR(hh, i->kept, k->key, strlen(k->key), k);
	k->rec = (struct rec_interposition){
		.process = p->serial,
		.kind = session_public(i->s, what->kind),
		.place = bundle_writer_text(w, what->place, what->place_class),
		.module = what->module,
		.by = what->by,
		.detail = bundle_writer_text(w, what->detail, what->detail_class),
		.when = clock_monotonic(),
	};
	k->waits = what->unless_packaged && what->by != REC_NULL;
	i->waiting += k->waits;
	if (!k->waits)
		put(i, k);
}

void interpositions_tick(struct interpositions *i, bool last)
{
	struct kept *k, *next;

	if (!i->waiting)
		return;
	HASH_ITER(hh, i->kept, k, next) {
		int packaged = k->waits ? modules_as_packaged(i->s->modules, k->rec.by) : -1;

		if (!k->waits || (packaged < 0 && !last))
			continue;
		k->waits = false;
		i->waiting--;
		if (packaged <= 0)
			put(i, k);
	}
}
