# Tests and checks.

UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_$(or $(T),*).c))
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_$(or $(T),*).c))
ifneq ($(COLLECT),1)
FUZZ := $(filter-out taps_code,$(FUZZ)) # needs libcapstone
endif
# Unit tests link every library part, built once more with the sanitizers.
A := $(B)/asan
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1
UNIT_SRC := $(SRC_OFFLINE) $(if $(filter 1,$(COLLECT)),$(SRC_COLLECT_LIB))
UNIT_OBJ := $(patsubst %.c,$(A)/obj/%.o,$(UNIT_SRC)) $(A)/obj/gen/probes_embedded.o

$(A)/obj/gen/%.o: $(B)/gen/%.c $(B)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(ASAN) -MMD -MP -c -o $@ $<

$(A)/obj/%.o: %.c $(B)/flags $(if $(filter 1,$(COLLECT)),| $(B)/gen/daylight.skel.h)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(ASAN) -MMD -MP -c -o $@ $<

$(A)/libdaylight.a: $(UNIT_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(A)/test_%: $(A)/obj/tests/unit/test_%.o $(A)/libdaylight.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(ASAN) -o $@ $^ $(LIBS) -lcmocka

$(A)/replay_%: $(A)/obj/tests/fuzz/fuzz_%.o $(A)/obj/tests/fuzz/replay.o $(A)/libdaylight.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(ASAN) -o $@ $^ $(LIBS)

.PRECIOUS: $(A)/obj/%.o $(A)/test_% $(A)/replay_%

.PHONY: check check-unit check-fuzz check-cli check-live check-services check-layers check-headers
check: deps-check
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all check-build
	$(Q)DAYLIGHT=$(abspath $(B))/daylight tools/run-tests.sh $(CHECKS)

CHECK_STATIC := tools/check-layers.sh tools/check-headers.sh
CHECK_UNIT := $(addprefix $(A)/,$(UNIT)) $(addprefix $(A)/replay_,$(FUZZ))
CHECK_CLI := $(wildcard tests/cli/*.sh)
CHECK_LIVE := $(filter-out %-lib.sh,$(wildcard tests/live/*.sh))
CHECK_SERVICES := $(filter-out %-lib.sh,$(wildcard tests/services/*.sh))
CHECKS := $(CHECK_STATIC) $(CHECK_UNIT) $(CHECK_CLI) $(CHECK_LIVE) $(CHECK_SERVICES)

# Programs of the live tests that need the library, and their BPF objects.
ifeq ($(COLLECT),1)
LIVE_PROGRAMS := $(B)/live/taps_count $(B)/live/taps.bpf.o
endif
$(B)/live/%: $(B)/obj/tests/live/%.o $(call obj,$(SRC_OFFLINE) $(SRC_COLLECT_LIB)) \
		$(B)/obj/gen/probes_embedded.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
$(B)/live/%.bpf.o: tests/live/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c -o $@ $<

.PHONY: check-build
check-build: $(CHECK_UNIT) $(LIVE_PROGRAMS)

run = $(Q)DAYLIGHT=$(abspath $(B))/daylight tools/run-tests.sh
check-unit: $(addprefix $(A)/,$(UNIT))
	$(run) $^
check-fuzz: $(addprefix $(A)/replay_,$(FUZZ))
	$(run) $^
check-cli: all
	$(run) $(wildcard tests/cli/$(or $(T),*).sh)
check-live: all $(LIVE_PROGRAMS)
	$(run) $(filter-out %-lib.sh,$(wildcard tests/live/$(or $(T),*).sh))
check-services: all
	$(run) $(filter-out %-lib.sh,$(wildcard tests/services/$(or $(T),*).sh))
check-layers:
	$(Q)tools/check-layers.sh
check-headers:
	$(Q)tools/check-headers.sh

# The live tests and the demo under other kernels, emulated: hours. K: which; T: live tests by name.
.PHONY: check-kernel
check-kernel: deps-kernel all $(LIVE_PROGRAMS)
	$(Q)CI=true DAYLIGHT=$(abspath $(B))/daylight KERNELS="$(or $(K),6.1 6.12)" tools/kernel/check.sh \
		$(filter-out %-lib.sh,$(wildcard tests/live/$(or $(T),*).sh))

# libFuzzer: the library once, with what the targets need; FUZZ_SECONDS for each target.
.PHONY: fuzz fuzz-coverage
FUZZ_SECONDS ?= 60
F := $(B)/fuzz
FUZZ_FLAGS := -std=gnu11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_LIBS_taps_code := -lcapstone
fuzz: $(addprefix $(F)/,$(FUZZ))
	$(Q)set -e; for t in $(FUZZ); do mkdir -p $(F)/corpus-$$t; echo "fuzz $$t"; \
		$(F)/$$t -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -timeout=10 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=$(F)/ $(F)/corpus-$$t tests/fuzz/corpus/$$t; \
	done
$(F)/obj/%.o: %.c $(B)/flags
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS_ALL) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
$(F)/obj/gen/%.o: $(B)/gen/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS_ALL) $(FUZZ_FLAGS) -c -o $@ $<
$(F)/libdaylight.a: $(patsubst %.c,$(F)/obj/%.o,$(SRC_OFFLINE)) $(F)/obj/gen/probes_embedded.o
	$(Q)rm -f $@ && ar rcs $@ $^
$(addprefix $(F)/,$(FUZZ)): $(F)/%: $(F)/obj/tests/fuzz/fuzz_%.o $(F)/libdaylight.a
	$(call say,LINK,$@)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS_OFFLINE) $(FUZZ_LIBS_$*)
# Lines that the corpora reach, those that `make fuzz` has found among them.
fuzz-coverage: $(B)/gen/probes_embedded.c
	$(Q)B=$(B) CLANG=$(CLANG) LIBS="$(LIBS_OFFLINE)" CPPFLAGS='$(CPPFLAGS_ALL)' \
		tools/fuzz-coverage.sh $(FUZZ)

.PHONY: lint format coverage
C_FILES := $(shell find userspace bpf tests -name '*.[ch]' | LC_ALL=C sort)
format:
	$(Q)clang-format -i $(filter-out userspace/bundle/format.h,$(C_FILES))
lint: $(B)/gen/daylight.skel.h
	$(Q)tools/lint.sh
coverage:
	$(Q)$(MAKE) --no-print-directory B=$(B)/coverage COVERAGE=1 check-unit
	$(Q)tools/coverage.sh $(B)/coverage

.PHONY: bench bench-nginx bench-peers bench-recall bench-size bench-inspect demo
bench: deps-check all
	$(Q)DAYLIGHT=$(abspath $(B))/daylight $(PYTHON) tools/bench/bench.py
bench-nginx: deps-check all
	$(Q)DAYLIGHT=$(abspath $(B))/daylight $(PYTHON) tools/bench/nginx.py
bench-peers: deps-peers all
	$(Q)DAYLIGHT=$(abspath $(B))/daylight $(PYTHON) tools/bench/bench.py --peers
bench-size: deps-check all $(B)/bench/dump_records
	$(Q)DAYLIGHT=$(abspath $(B))/daylight $(PYTHON) tools/bench/size.py
$(B)/bench/%: $(B)/obj/tools/bench/%.o $(call obj,$(SRC_OFFLINE)) $(B)/obj/gen/probes_embedded.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_OFFLINE)
bench-recall: deps-check all
	$(Q)DAYLIGHT=$(abspath $(B))/daylight $(PYTHON) tools/bench/recall.py
bench-inspect: all
	$(Q)DAYLIGHT=$(abspath $(B))/daylight tools/bench/inspect.sh
demo: deps-build
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)DAYLIGHT=$(abspath $(B))/daylight tools/demo/demo.sh
