# Daylight: see README.md. `make help` lists the targets.
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

B ?= build
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
COLLECT ?= 1
VERSION := 0.1.0

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n' '$(1)' '$(patsubst $(B)/%,%,$(2))';
endif

# ---- flags ----

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wundef -Wformat=2 -Wno-format-nonliteral
OPT ?= -O2 -g
CPPFLAGS_ALL := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DDAYLIGHT_VERSION='"$(VERSION)"' \
	-DDAYLIGHT_COLLECT=$(COLLECT) -Iuserspace -Ibpf -I$(B)/gen -include userspace/base/banned.h
CFLAGS_ALL := -std=gnu11 $(WARN) $(OPT) -fno-strict-aliasing -fstack-protector-strong $(CFLAGS)
LDFLAGS_ALL := $(LDFLAGS)
ifneq ($(SANITIZE),)
CFLAGS_ALL += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_ALL += -fsanitize=$(SANITIZE)
endif
ifneq ($(COVERAGE),)
CFLAGS_ALL += --coverage -O0
LDFLAGS_ALL += --coverage
endif
# Header compression of HTTP/2 is carried along.
LIBS_OFFLINE := -ljansson -lzstd -lcrypto -lpthread -Wl,-Bstatic -lnghttp2 -Wl,-Bdynamic
# The collector carries its own libbpf, libelf, libdw and libcapstone; it runs on hosts without them.
LIBS_COLLECT := -Wl,-Bstatic -lbpf -ldw -lelf -lz -llzma -lbz2 -lcap -lcapstone -Wl,-Bdynamic
# Of libcapstone, x86 alone: an architecture whose entries are null is one that it was built without.
CAPSTONE_WITHOUT := AArch64 ARM EVM M680X M68K Mips PPC Sparc SystemZ TMS320C64x XCore
LIBS_COLLECT += -Wl,--gc-sections $(foreach a,$(CAPSTONE_WITHOUT),-Wl,--defsym,$(a)_global_init=0,--defsym,$(a)_option=0)

# ---- sources, by place ----

SRC_ALL := $(shell find userspace -name '*.c' | LC_ALL=C sort)
SRC_COLLECT := $(filter userspace/collect/% userspace/cmd_collect.c userspace/cmd_doctor.c,$(SRC_ALL))
SRC_CMD := $(filter userspace/main.c userspace/cmd_%.c,$(SRC_ALL))
SRC_OFFLINE := $(filter-out $(SRC_COLLECT) $(SRC_CMD),$(SRC_ALL))
SRC_COLLECT_LIB := $(filter userspace/collect/%,$(SRC_ALL))
ifeq ($(COLLECT),1)
SRC_PROGRAM := $(SRC_ALL)
LIBS := $(LIBS_COLLECT) $(LIBS_OFFLINE)
else
SRC_PROGRAM := $(filter-out $(SRC_COLLECT),$(SRC_ALL))
LIBS := $(LIBS_OFFLINE)
endif
PROBES := $(shell find probes -name '*.json' | LC_ALL=C sort)
HEADERS := $(shell find userspace -name '*.h' | LC_ALL=C sort)
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
OBJ_PROGRAM := $(call obj,$(SRC_PROGRAM)) $(B)/obj/gen/probes_embedded.o

.PHONY: all
all: $(B)/daylight

# A change of compiler flags rebuilds what they touch.
FLAGS_NOW := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LIBS)
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || \
		printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@
FORCE:

$(B)/daylight: $(OBJ_PROGRAM)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/obj/%.o: %.c $(B)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/obj/gen/%.o: $(B)/gen/%.c $(B)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/gen/probes_embedded.c: tools/embed.py $(PROBES)
	$(call say,EMBED,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(PYTHON) tools/embed.py $@ probes $(PROBES)

# ---- BPF: one object; its types are hand-picked and CO-RE, so no BTF is needed to build ----

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter \
	-D__TARGET_ARCH_x86 -Ibpf -I/usr/include/$(shell $(CC) -print-multiarch)

$(B)/bpf/daylight.bpf.o: bpf/daylight.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(B)/bpf/daylight.bpf.d -MT $@ -c -o $@.tmp $<
	$(Q)$(BPFTOOL) gen object $@ $@.tmp
	$(Q)rm -f $@.tmp

$(B)/gen/daylight.skel.h: $(B)/bpf/daylight.bpf.o
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name daylight_bpf > $@

ifeq ($(COLLECT),1)
$(call obj,$(SRC_COLLECT)): | $(B)/gen/daylight.skel.h
endif

-include $(shell find $(B) -name '*.d' 2>/dev/null)

include tools/mk/check.mk
include tools/mk/install.mk

.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
## make                build/daylight
## make demo           installs what is missing, builds, traces the sample service, shows the report
## make check          installs what the tests need, runs every test
## make check-unit     unit tests alone (no root), under ASan and UBSan; T=NAME for one
## make check-live     live eBPF tests;  check-services: real services;  check-cli: command line
## make check-kernel   demo and live tests under Linux 6.1 and 6.12, emulated: hours;  K=, T=, JOBS=
## make bench          cost and size figures;  bench-peers: the same for other tracers
## make bench-nginx    requests per second of an nginx that gives small files, as fast as it can
## make bench-size     bytes a call and a sighting, against other forms of the same records
## make bench-inspect  time and memory of inspect on ten million sightings
## make fuzz T=NAME    libFuzzer on tests/fuzz/fuzz_NAME.c for FUZZ_SECONDS (60)
## make fuzz-coverage  lines that the fuzzers' corpora reach
## make lint           clang-tidy, cppcheck, shellcheck;  format: clang-format
## make coverage       line coverage of the unit tests
## make deps           packages to build and test (Debian 12)
## make man            manuals;  install, uninstall: to DESTDIR and PREFIX
## COLLECT=0           the offline verbs alone;  V=1: show commands;  SANITIZE=address,undefined
