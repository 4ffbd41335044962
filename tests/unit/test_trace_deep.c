/* Which calls are deep: each rule alone can take it away. */
#include "trace_fixture.h"

/* Later than any clock that the writer itself may read here. */
#define far_ms(ms) (1000000000000000000ULL + (ms)*1000000ULL)

/* One call from 10,000 to 10,009 ms. 0 is the plain case, in which it is deep. */
struct deep_case {
	uint64_t from, until; /* ms of the span; 0: 9,900 and 10,100 */
	uint64_t span_process; /* 0: the call's */
	bool no_span, span_open;
	bool earlier_span; /* another one, long before, that is put later */
	uint64_t end_reason, lost, link;
	bool end_unknown;
	bool no_context;
	bool second, second_span; /* another binding, of a process of its own */
	bool second_ambiguous;
	uint64_t sources; /* 0: deep */
	uint64_t gap_from, gap_until; /* ms; 0: no gap */
	uint64_t gap_process; /* 0: the call's */
	const char *gap_what; /* NULL: something that counts */
	uint64_t loss_at; /* ms; 0: nothing was lost */
	const char *loss_stage; /* NULL: "sightings" */
	uint64_t readings[4]; /* ms of ledger readings without a loss */
	uint64_t loss_before; /* ms of a reading with the same total */
	bool cut; /* no window_end */
	uint64_t clock; /* ms of a clock record behind the call; 0: none */
};

#define ms_or(value, other) ((value) == REC_NULL ? REC_NULL : far_ms((value) ? (value) : (other)))

static void put_reading(struct fixture *f, uint64_t ms, const char *stage, uint64_t lost,
			uint64_t attempted)
{
	put(f, LOSS, loss, .time = far_ms(ms), .stage = pub(f, stage), .class = LOSS_ATTEMPTED,
	    .cause = REC_EMPTY, .count = attempted);
	if (lost)
		put(f, LOSS, loss, .time = far_ms(ms), .stage = pub(f, stage), .class = LOSS_LOST,
		    .cause = pub(f, "map-full"), .count = lost);
}

static void put_case(struct fixture *f, const struct deep_case *c)
{
	const char *stage = c->loss_stage ? c->loss_stage : "sightings";

	fixture_window(f);
	if (!c->no_span)
		put(f, DEEP, deep, .process = c->span_process ? c->span_process : 1,
		    .from = ms_or(c->from, 9900),
		    .until = c->span_open ? REC_NULL : ms_or(c->until, 10100),
		    .reason = pub(f, "duty"));
	if (c->earlier_span)
		put(f, DEEP, deep, .process = 1, .from = far_ms(5000), .until = far_ms(5100),
		    .reason = pub(f, "duty"));
	put(f, CALL, call, .process = 1, .connection = 1, .seq = 1, .start = far_ms(10000),
	    .first_byte = far_ms(10008), .end = c->end_unknown ? REC_NULL : far_ms(10009),
	    .end_reason = c->end_reason, .lost = c->lost);
	put(f, CONTEXT, context, .process = 1, .thread = 1, .start = far_ms(10000));
	put(f, BINDING, binding, .context = c->no_context ? 99 : 1, .call = 1,
	    .from = far_ms(10000), .until = far_ms(10009), .link = c->link);
	if (c->second || c->second_ambiguous) {
		put(f, CONTEXT, context, .process = c->second_ambiguous ? 1 : 2, .thread = 2,
		    .start = far_ms(10000));
		put(f, BINDING, binding, .context = 2, .call = 1, .from = far_ms(10000),
		    .until = far_ms(10009),
		    .link = c->second_ambiguous ? LINK_AMBIGUOUS : LINK_FLOW);
	}
	if (c->second_span)
		put(f, DEEP, deep, .process = 2, .from = far_ms(9950), .until = far_ms(10050),
		    .reason = pub(f, "new-process"));
	if (c->gap_from)
		put(f, GAP, gap, .process = c->gap_process ? c->gap_process : 1,
		    .from = far_ms(c->gap_from), .until = far_ms(c->gap_until),
		    .what = pub(f, c->gap_what ? c->gap_what : "attach"));
	for (size_t i = 0; i < 4 && c->readings[i]; i++)
		put_reading(f, c->readings[i], "sightings", 0, i + 1);
	if (c->loss_before)
		put_reading(f, c->loss_before, stage, 3, 40);
	if (c->loss_at)
		put_reading(f, c->loss_at, stage, c->loss_before ? 4 : 3, 50);
	if (c->clock)
		put(f, CLOCK, clock, .monotonic = far_ms(c->clock), .synced = 1);
	if (!c->cut)
		fixture_window_end(f);
	fixture_load(f);
}

static void expect_deep(const char *name, const struct deep_case *c, bool want)
{
	struct fixture f;

	fixture_open(&f);
	put_case(&f, c);
	if (trace_call_deep(f.t, trace_at(f.t, REC_CALL_KIND, 0),
			    c->sources ? (uint32_t)c->sources : 1U << SOURCE_DEEP) != want)
		fail_msg("%s: %s", name, want ? "not deep" : "deep");
	fixture_release(&f);
}

#define deep(name, ...) expect_deep(name, &(struct deep_case){ __VA_ARGS__ }, true)
#define not_deep(name, ...) expect_deep(name, &(struct deep_case){ __VA_ARGS__ }, false)

static void test_span(void **state)
{
	(void)state;
	deep("plain", 0);
	deep("exactly", .from = 10000, .until = 10009);
	deep("put in any order", .earlier_span = true);
	not_deep("before", .earlier_span = true, .no_span = true);
	not_deep("none", .no_span = true);
	not_deep("begins late", .from = 10001);
	not_deep("ends early", .until = 10008);
	not_deep("never ended", .span_open = true);
	not_deep("begin unknown", .from = REC_NULL);
	not_deep("of another process", .span_process = 2);
	not_deep("of no process", .span_process = REC_NULL);
	not_deep("nothing entered", .sources = 1U << SOURCE_SYSCALL);
	deep("entered and on stacks", .sources = 1U << SOURCE_SYSCALL | 1U << SOURCE_DEEP);
}

static void test_call(void **state)
{
	(void)state;
	for (uint64_t reason = 0; reason <= CALL_END_COUNT; reason++)
		if (reason != CALL_END_COMPLETE)
			not_deep("not complete", .end_reason = reason);
	not_deep("no end", .end_unknown = true);
	not_deep("lost", .lost = 1);
	not_deep("lost is not known", .lost = REC_NULL);
}

static void test_bindings(void **state)
{
	(void)state;
	not_deep("ambiguous", .link = LINK_AMBIGUOUS);
	not_deep("unknown link", .link = LINK_COUNT);
	not_deep("no context", .no_context = true);
	not_deep("one ambiguous", .second_ambiguous = true);
	not_deep("in another process", .second = true);
	deep("both processes", .second = true, .second_span = true);
}

static void test_gap(void **state)
{
	(void)state;
	not_deep("inside", .gap_from = 10002, .gap_until = 10003);
	not_deep("around", .gap_from = 100, .gap_until = 20000);
	not_deep("at its end", .gap_from = 10009, .gap_until = 10010);
	not_deep("of all processes", .gap_from = 10002, .gap_until = 10003,
		 .gap_process = REC_NULL);
	deep("before", .gap_from = 9000, .gap_until = 9999);
	deep("after, all", .gap_from = 10010, .gap_until = 10011, .gap_process = REC_NULL);
	deep("of what was compared", .gap_from = 100, .gap_until = 20000,
	     .gap_what = "replaced functions: not looked for");
	deep("of memory", .gap_from = 100, .gap_until = 20000, .gap_what = "code in memory: -",
	     .gap_process = REC_NULL);
	not_deep("that only mentions it", .gap_from = 100, .gap_until = 20000,
		 .gap_what = "no replaced functions: none");
	deep("of another", .gap_from = 10002, .gap_until = 10003, .gap_process = 2);
}

static void test_loss(void **state)
{
	(void)state;
	/* No reading before: it may have been lost at any time. */
	not_deep("at some time", .loss_at = 50000);
	not_deep("shown by the next reading", .readings = { 9500 }, .loss_at = 10500);
	not_deep("shown by a later one", .readings = { 9500, 10500 }, .loss_at = 12000);
	/* Within what a sighting needs to reach the bundle. */
	not_deep("on the way", .readings = { 9500, 11900 }, .loss_at = 14000);
	deep("later", .readings = { 9500, 12100 }, .loss_at = 14200);
	deep("earlier", .readings = { 9500 }, .loss_at = 9990);
	not_deep("the same moment", .readings = { 9500 }, .loss_at = 10000);
	deep("no more than before", .readings = { 5000 }, .loss_before = 7000, .loss_at = 0);
	not_deep("more than before", .readings = { 5000 }, .loss_before = 7000, .loss_at = 10500);
	deep("of files only", .loss_stage = "modules", .loss_at = 10005);
	deep("of native frames only", .loss_stage = "native-stacks-resolved", .loss_at = 10005);
	not_deep("of entries", .loss_stage = "function-starts", .loss_at = 10005);
	not_deep("of a stage that is not known", .loss_stage = "new", .loss_at = 10005);
}

/* Totals that fall, or that are not known, say that something is wrong with the ledger. */
static void test_odd_ledger(void **state)
{
	struct fixture *f = *state;
	static const struct deep_case plain = { .readings = { 9500 } };

	put(f, LOSS, loss, .time = far_ms(5000), .stage = pub(f, "x"), .class = LOSS_LOST,
	    .cause = REC_EMPTY, .count = 9);
	put(f, LOSS, loss, .time = far_ms(10005), .stage = pub(f, "x"), .class = LOSS_LOST,
	    .cause = REC_EMPTY, .count = 2);
	put_case(f, &plain);
	assert_false(trace_call_deep(f->t, trace_at(f->t, REC_CALL_KIND, 0), 1U << SOURCE_DEEP));
}

/* A bundle that ends early may lack what a call left behind. */
static void test_cut(void **state)
{
	(void)state;
	not_deep("no clock", .cut = true);
	not_deep("too soon", .cut = true, .clock = 11000);
	deep("long after", .cut = true, .clock = 13000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_span),	 cmocka_unit_test(test_call),
		cmocka_unit_test(test_bindings), cmocka_unit_test(test_gap),
		cmocka_unit_test(test_loss),	 fixture_test(test_odd_ledger),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
