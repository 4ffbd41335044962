/* Compiles Python sources after the window, with the interpreter behind the fence. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "collect/identity.h"
#include "collect/pyc_helper.h"
#include "collect/pymarshal.h"

#define ALL_NS 120000000000ULL
#define ITEM_NS 10000000000ULL

/* The helper runs this interpreter; "" or why it does not. */
static const char *start(struct pyc_compiler *c, const char *exe, uint64_t end)
{
	struct err err = ERR_INIT;

	if (strcmp(c->exe, exe)) {
		pyc_helper_stop(&c->helper);
		snprintf(c->exe, sizeof(c->exe), "%s", exe);
		c->broken = false;
	}
	if (c->helper.pid > 0)
		return "";
	if (c->broken)
		return "interpreter-failed";
	if (access(exe, X_OK))
		return "interpreter-missing";
	if (pyc_helper_start(&c->helper, exe, end, ALL_NS, &err)) {
		log_warn("Python sources are not compiled: %s", err.text);
		c->broken = true;
		return "interpreter-failed";
	}
	return "";
}

const char *pyc_compile(struct pyc_compiler *c, const char *exe, unsigned int magic,
			unsigned int optimize, const char *path, const struct bytes *source,
			struct bytes *out)
{
	uint8_t wish_data[3] = { (uint8_t)magic, (uint8_t)(magic >> 8), (uint8_t)optimize };
	struct bytes wish = { wish_data, sizeof(wish_data), 0 };
	struct bytes name = { (uint8_t *)path, strlen(path), 0 };
	uint64_t now = clock_monotonic(), end = now + ITEM_NS;
	const char *why;
	int answer;

	if (!c->deadline)
		c->deadline = now + ALL_NS;
	if (now >= c->deadline)
		return "timeout";
	if (end > c->deadline)
		end = c->deadline;
	why = start(c, exe, end);
	if (*why)
		return why;
	answer = pyc_helper_ask(&c->helper, &name, source, &wish, end);
	if (answer == PYC_CODE)
		answer = pyc_helper_take(&c->helper, out, PYMARSHAL_MAX, end);
	switch (answer) {
	case 0:
		return "";
	case PYC_MAGIC:
		return "unsupported-magic";
	case PYC_SOURCE:
		return "source-not-compiled";
	case PYC_FAILED:
		return "failed";
	default:
		/* A crash or a hang is this source's alone: the next one gets a new helper. */
		pyc_helper_stop(&c->helper);
		return answer == PYC_ASK_TIMEOUT ? "timeout" : "failed";
	}
}

void pyc_compiler_release(struct pyc_compiler *c)
{
	pyc_helper_stop(&c->helper);
}
