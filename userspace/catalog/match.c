/*
 * Matching: processes to definitions, calls to routes, files to sections. Every string that is
 * matched comes from outside and may hold any bytes; globs and templates were checked on loading.
 * Nothing here allocates or recurses; without '**' a match takes at most the product of both
 * lengths in steps, with it that for each segment.
 */
#include <string.h>

#include "catalog/catalog.h"
#include "catalog/service_checks.h"

/* ---- globs ---- */

/*
 * Globs with plain '*' that crosses '/' (paths == false), or '*' inside a segment and '**' across
 * (paths == true). On a mismatch the latest '*' takes one byte more, and when it may not, the
 * latest '**' does: an earlier one need never be tried again, for the latest can take what it
 * could.
 */
static bool glob_match(const char *glob, const char *text, size_t len, bool paths)
{
	const char *g = glob, *t = text, *end = text + len;
	const char *star_g = NULL, *star_t = NULL, *deep_g = NULL, *deep_t = NULL;

	for (;;) {
		if (paths && g[0] == '*' && g[1] == '*') {
			deep_g = g += 2;
			deep_t = t;
			star_g = NULL;
			/* Between slashes it may also stand for no segment at all. */
			if (*g == '/' && (g - glob == 2 || g[-3] == '/'))
				deep_g = g += 1;
			continue;
		}
		if (*g == '*') {
			star_g = ++g;
			star_t = t;
			continue;
		}
		if (t < end && *g && (*g == *t || (*g == '?' && !(paths && *t == '/')))) {
			g++;
			t++;
			continue;
		}
		if (t == end && !*g)
			return true;
		if (star_g && star_t < end && !(paths && *star_t == '/')) {
			t = ++star_t;
			g = star_g;
			continue;
		}
		if (!deep_g || deep_t >= end)
			return false;
		/* "**" followed by more segments goes on at the start of a segment only. */
		deep_t++;
		if (deep_g[-1] == '/') {
			while (deep_t < end && deep_t[-1] != '/')
				deep_t++;
			if (deep_t >= end)
				return false;
		}
		star_g = NULL;
		t = deep_t;
		g = deep_g;
	}
}

bool service_glob(const char *glob, const char *path)
{
	return glob_match(glob, path, strlen(path), true);
}

const char *service_relative(const struct service_definition *definition, const char *path)
{
	for (size_t i = 0; i < definition->roots_count; i++)
		for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/'))
			if (p > path && p[1] &&
			    glob_match(definition->roots[i], path, (size_t)(p - path), true))
				return p + 1;
	return NULL;
}

/* ---- processes ---- */

static bool any_match(const char *const *globs, size_t globs_count, const char *const *texts,
		      size_t texts_count)
{
	for (size_t i = 0; i < globs_count; i++)
		for (size_t k = 0; k < texts_count; k++)
			if (texts[k] && glob_match(globs[i], texts[k], strlen(texts[k]), false))
				return true;
	return !globs_count;
}

static bool process_matches(const struct service_match *match,
			    const struct service_process *process)
{
	return any_match(match->exe_globs, match->exe_globs_count, &process->exe, 1) &&
	       any_match(match->arg_globs, match->arg_globs_count, process->args,
			 process->args_count) &&
	       any_match(match->module_globs, match->module_globs_count, process->modules,
			 process->modules_count);
}

const struct service_definition *catalog_match_process(const struct catalog *c,
						       const struct service_process *process)
{
	for (size_t i = 0; i < catalog_services_count(c); i++) {
		const struct service_definition *d = catalog_service_at(c, i);

		for (size_t k = 0; k < d->matches_count; k++)
			if (process_matches(&d->matches[k], process))
				return d;
	}
	return NULL;
}

/* ---- routes ---- */

/* The path of a call: `len` leaves out trailing slashes. */
struct route_path {
	const char *text;
	size_t len;
};

/* How a template meets a path: bit 63 stands for the first segment. */
struct route_fit {
	bool matches;
	uint64_t literals; /* segments that are equal to a literal, as far as the template leads */
	uint64_t placeholders; /* segments that a placeholder stands for; {name*}: all to the end */
};

static struct route_fit template_fit(const char *template, const struct route_path *path)
{
	const char *p = path->text, *end = p + path->len, *t = template[1] ? template : "";
	struct route_fit fit = { false, 0, 0 };

	for (uint64_t bit = 1ULL << 63; bit; bit >>= 1) {
		size_t tlen, plen;

		if (!*t || p == end) {
			fit.matches = !*t && p == end;
			return fit;
		}
		if (*p != '/')
			return fit;
		tlen = strcspn(++t, "/");
		p++;
		plen = (size_t)((const char *)memchr(p, '/', (size_t)(end - p)) ?: end) - (size_t)p;
		if (*t == '{') {
			if (tlen > 1 && t[tlen - 2] == '*') {
				fit.matches = p < end;
				fit.placeholders |= bit | (bit - 1);
				return fit;
			}
			if (!plen)
				return fit;
			fit.placeholders |= bit;
		} else if (tlen == plen && !memcmp(t, p, plen)) {
			fit.literals |= bit;
		} else {
			return fit;
		}
		t += tlen;
		p += plen;
	}
	fit.matches = !*t && p == end;
	return fit;
}

static bool method_matches(const struct service_route *route, const char *method)
{
	for (size_t i = 0; i < route->methods_count; i++)
		if (!strcmp(route->methods[i], method))
			return true;
	return !route->methods_count;
}

struct kept_text {
	char *out;
	size_t len;
};

static void kept_put(struct kept_text *kept, const char *text, size_t len)
{
	size_t room = KEPT_MAX - 1 - kept->len;

	if (len > room)
		len = room;
	memcpy(kept->out + kept->len, text, len);
	kept->len += len;
	kept->out[kept->len] = '\0';
}

/* The template, and the slashes that the path ends with where they are no placeholder's value. */
static void keep_template(struct kept_text *kept, const char *template,
			  const struct route_path *path)
{
	size_t len = strlen(template);

	if (len > 1)
		kept_put(kept, template, len);
	if (len < 2 || template[len - 2] != '*')
		kept_put(kept, path->text + path->len, strlen(path->text + path->len));
}

/* Each segment as it is where `literals` says so, else "*"; slashes stay. */
static void keep_literals(struct kept_text *kept, const char *path, uint64_t literals)
{
	uint64_t bit = 1ULL << 63;

	if (*path != '/')
		literals = 0;
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len)
			kept_put(kept, literals & bit ? p : "*", literals & bit ? len : 1);
		p += len;
		if (*p == '/') {
			/* The slash at the start opens the first segment, each later one the next.
			 */
			if (p > path)
				bit >>= 1;
			kept_put(kept, p++, 1);
		}
	}
}

const struct service_route *service_route_match(const struct service_definition *definition,
						const char *method, const char *path, char *kept)
{
	struct route_path cut = { path, strlen(path) };
	struct kept_text text = { kept, 0 };
	const struct service_route *best = NULL;
	uint64_t literals = 0, best_placeholders = 0;

	kept[0] = '\0';
	while (cut.len && path[cut.len - 1] == '/')
		cut.len--;
	for (size_t i = 0; definition && *path == '/' && i < definition->routes_count; i++) {
		const struct service_route *route = &definition->routes[i];
		struct route_fit fit = template_fit(route->path, &cut);

		literals |= fit.literals;
		if (!fit.matches || !method_matches(route, method))
			continue;
		/* A placeholder in an earlier segment is a higher bit. */
		if (best && best_placeholders <= fit.placeholders)
			continue;
		best = route;
		best_placeholders = fit.placeholders;
	}
	if (best)
		keep_template(&text, best->path, &cut);
	else
		keep_literals(&text, path, literals);
	return best;
}
