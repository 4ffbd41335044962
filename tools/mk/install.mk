# Packages, manuals, installing.

.PHONY: deps deps-build deps-check deps-kernel deps-peers
deps: deps-check
deps-build:
	$(Q)tools/deps.sh build
deps-check:
	$(Q)tools/deps.sh check
deps-kernel:
	$(Q)tools/deps.sh kernel
deps-peers:
	$(Q)tools/deps.sh peers

# cmd_memory.c is a part of several verbs.
VERBS := $(filter-out memory,$(patsubst userspace/cmd_%.c,%,$(filter userspace/cmd_%,$(SRC_PROGRAM))))
MANUALS := $(B)/man/daylight.1 $(patsubst %,$(B)/man/daylight-%.1,$(VERBS))
.PHONY: man install uninstall clean
man: $(MANUALS)
$(B)/man/%.1: $(B)/daylight
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D)
	@command -v rst2man >/dev/null || { echo "rst2man is missing: install python3-docutils" >&2; exit 1; }
	$(Q)$(B)/daylight manual $(patsubst daylight-%,%,$(filter-out daylight,$*)) > $(B)/man/$*.rst
	$(Q)rst2man $(B)/man/$*.rst > $@

$(B)/daylight.bash: $(B)/daylight
	$(Q)$(B)/daylight completion > $@

install: all man $(B)/daylight.bash
	install -D -m 755 $(B)/daylight $(DESTDIR)$(PREFIX)/bin/daylight
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(MANUALS) $(DESTDIR)$(PREFIX)/share/man/man1/
	install -D -m 644 $(B)/daylight.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/daylight
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/daylight \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/daylight \
		$(addprefix $(DESTDIR)$(PREFIX)/share/man/man1/,$(notdir $(MANUALS)))
clean:
	rm -rf $(B)
