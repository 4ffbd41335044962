/*
 * The survey: all bundles, the guideline's sections and the definitions brought together. Each call
 * of each bundle is walked once; sections, routes and other code gather what worked for it.
 */
#ifndef DAYLIGHT_ANALYZE_SURVEY_H
#define DAYLIGHT_ANALYZE_SURVEY_H

#include "analyze/analyze.h"
#include "analyze/evidence.h"
#include "analyze/group.h"
#include "analyze/guideline.h"
#include "analyze/reference.h"

/* A definition's code for a section. */
struct survey_mapping {
	const struct service_definition *definition;
	const struct service_section *code;
};

struct survey_section {
	const struct guideline_section *section;
	struct survey_mapping *mappings;
	size_t mappings_count; /* 0: no definition speaks of it */
	bool has_code; /* a definition names files of it */
	bool has_routes; /* its code handles a route of a definition */
	struct group group;
	uint64_t component_calls; /* of services whose definition maps the section */
	uint64_t component_silent; /* those of them that completed without any usable sighting */
	uint64_t route_calls; /* of its routes */
	uint64_t route_calls_unseen; /* completed ones of them without a sighting of a handler */
	struct group_example unseen; /* one of them */
	const struct evidence *unseen_in;
};

/* The calls of one method and route of a service; or those that no route is known for. */
struct survey_route {
	char *key;
	const struct service_definition *definition; /* NULL: none is known for the calls */
	const struct service_route *route; /* NULL: the calls have no route that is known */
	const char *component; /* NULL: not known */
	char *method, *text; /* the route's template; the text is NULL without a route */
	uint64_t calls, deep, reached, no_sighting, incomplete, sighted;
	uint64_t deep_elsewhere; /* deep calls for which no function of a handler was seen */
	struct group group; /* the handlers */
	json_t *unseen_statuses; /* of completed calls in no_sighting: status -> count */
	struct group_example unseen; /* a completed call without a sighting of a handler */
	const struct evidence *unseen_in;
};

/* Code outside the component's sections that worked for its calls, by owner. */
struct survey_other {
	char *key;
	char *component; /* NULL: the calls' component is not known */
	char *owner; /* package, or folder, or kind of module */
	const char *owner_kind; /* "package", "folder" or "kind" */
	char *version; /* of the package, or NULL */
	json_t *modules, *functions; /* sets */
	uint64_t calls, call_stamp;
	const struct evidence *evidence;
	struct group_example example;
	uint64_t module;
};

/* A module that no package owns and no section of the component names, and that ran in calls. */
struct survey_outside {
	char *key;
	char *component; /* NULL: the calls' component is not known */
	const struct evidence *evidence;
	const struct evidence_module *module;
	const struct rec_identity *identity; /* shows that no package owns it; NULL: not known */
	json_t *functions, *routes; /* sets */
	uint64_t calls, call_stamp;
	struct group_example example;
};

struct survey {
	const struct analyze_options *options;
	struct guideline guideline;
	struct reference *references;
	size_t references_count;
	struct evidence *bundles;
	size_t bundles_count;
	struct survey_section *sections;
	size_t sections_count;
	struct survey_route **routes;
	size_t routes_count;
	struct survey_other **others;
	size_t others_count;
	struct survey_outside **outside;
	size_t outside_count;
	json_t *route_index, *other_index, *outside_index; /* key -> position */
	uint64_t serial; /* of the call in work, over all bundles */
};

/* Loads everything and walks it. Release in any case. */
int survey_run(struct survey *s, const struct analyze_options *options, struct err *err);
void survey_release(struct survey *s);

/* survey_inputs.c: the files. The same evidence given twice is refused. */
int survey_load_inputs(struct survey *s, struct err *err);

/* The component of a definition: that of its sections when they agree, else its name. */
const char *survey_component(const struct service_definition *definition);

/* survey_routes.c: the definition of the service that a call is of, or NULL. */
const struct service_definition *survey_definition(const struct survey *s, const struct evidence *e,
						   const struct rec_call *call);
/* The row of a call; made when it is the first of its kind. NULL: no memory. */
struct survey_route *survey_get_route(struct survey *s, const struct evidence *e,
				      const struct rec_call *call);
/* Rows for the calls of all bundles. -1: no memory. */
int survey_make_routes(struct survey *s);

/*
 * survey_other.c: code that is in none of the component's sections worked for the call. *owned:
 * a package owns it.
 */
int survey_see_other(struct survey *s, struct evidence *e, const char *component,
		     const struct rec_call *call, const struct evidence_seen *seen, bool *owned);
void survey_release_others(struct survey *s);

/* survey_outside.c: the same, for code of a module that no package owns. */
int survey_see_outside(struct survey *s, struct evidence *e, const char *component,
		       const struct survey_route *route, const struct rec_call *call,
		       const struct evidence_seen *seen);
void survey_release_outside(struct survey *s);
/* The templates of its routes, in order. NULL: no memory. */
json_t *survey_outside_routes(const struct survey_outside *o);

#endif
