/* The schema tables behind format.h. */
#include "bundle/format.h"

#include <string.h>

#define ENUM_TEXT(symbol, text) text,
#define DEFINE_NAMES(UP, low)                                                  \
	static const char *const low##_names[] = { REC_ENUM_##UP(ENUM_TEXT) }; \
	const char *rec_##low##_name(uint64_t value)                           \
	{                                                                      \
		return value < UP##_COUNT ? low##_names[value] : "?";          \
	}
REC_ENUMS(DEFINE_NAMES)

/* STRUCT is the struct that the table under construction describes. */
/* clang-format off */
#define PLAIN(T, n) { #n, REC_TYPE_##T, offsetof(STRUCT, n), NULL, 0 },
#define NAMED(n, names)                                                                            \
	{ #n, REC_TYPE_E, offsetof(STRUCT, n), names, sizeof(names) / sizeof((names)[0]) },
#define FIELD_U(n) PLAIN(U, n)
#define FIELD_B(n) PLAIN(B, n)
#define FIELD_T(n) PLAIN(T, n)
#define FIELD_W(n) PLAIN(W, n)
#define FIELD_S(n) PLAIN(S, n)
#define FIELD_X(n) PLAIN(X, n)
#define FIELD_L(n) PLAIN(L, n)
#define FIELD_M(n) PLAIN(M, n)
#define FIELD_E_LOSS_CLASS(n) NAMED(n, loss_class_names)
#define FIELD_E_ORIGIN(n) NAMED(n, origin_names)
#define FIELD_E_MODULE_KIND(n) NAMED(n, module_kind_names)
#define FIELD_E_LANGUAGE(n) NAMED(n, language_names)
#define FIELD_E_FAMILY(n) NAMED(n, family_names)
#define FIELD_E_DIRECTION(n) NAMED(n, direction_names)
#define FIELD_E_SOURCE(n) NAMED(n, source_names)
#define FIELD_E_LINK(n) NAMED(n, link_names)
#define FIELD_E_CALL_END(n) NAMED(n, call_end_names)
#define FIELD(type, n) FIELD_##type(n)

#define STRUCT struct rec_window
static const struct rec_field window_fields[] = { REC_WINDOW(FIELD) };
#undef STRUCT
#define STRUCT struct rec_window_end
static const struct rec_field window_end_fields[] = { REC_WINDOW_END(FIELD) };
#undef STRUCT
#define STRUCT struct rec_label
static const struct rec_field label_fields[] = { REC_LABEL(FIELD) };
#undef STRUCT
#define STRUCT struct rec_probe
static const struct rec_field probe_fields[] = { REC_PROBE(FIELD) };
#undef STRUCT
#define STRUCT struct rec_program
static const struct rec_field program_fields[] = { REC_PROGRAM(FIELD) };
#undef STRUCT
#define STRUCT struct rec_clock
static const struct rec_field clock_fields[] = { REC_CLOCK(FIELD) };
#undef STRUCT
#define STRUCT struct rec_gap
static const struct rec_field gap_fields[] = { REC_GAP(FIELD) };
#undef STRUCT
#define STRUCT struct rec_target
static const struct rec_field target_fields[] = { REC_TARGET(FIELD) };
#undef STRUCT
#define STRUCT struct rec_listener
static const struct rec_field listener_fields[] = { REC_LISTENER(FIELD) };
#undef STRUCT
#define STRUCT struct rec_process
static const struct rec_field process_fields[] = { REC_PROCESS(FIELD) };
#undef STRUCT
#define STRUCT struct rec_process_end
static const struct rec_field process_end_fields[] = { REC_PROCESS_END(FIELD) };
#undef STRUCT
#define STRUCT struct rec_mapping
static const struct rec_field mapping_fields[] = { REC_MAPPING(FIELD) };
#undef STRUCT
#define STRUCT struct rec_module
static const struct rec_field module_fields[] = { REC_MODULE(FIELD) };
#undef STRUCT
#define STRUCT struct rec_identity
static const struct rec_field identity_fields[] = { REC_IDENTITY(FIELD) };
#undef STRUCT
#define STRUCT struct rec_pyc
static const struct rec_field pyc_fields[] = { REC_PYC(FIELD) };
#undef STRUCT
#define STRUCT struct rec_function
static const struct rec_field function_fields[] = { REC_FUNCTION(FIELD) };
#undef STRUCT
#define STRUCT struct rec_stack
static const struct rec_field stack_fields[] = { REC_STACK(FIELD) };
#undef STRUCT
#define STRUCT struct rec_context
static const struct rec_field context_fields[] = { REC_CONTEXT(FIELD) };
#undef STRUCT
#define STRUCT struct rec_sighting
static const struct rec_field sighting_fields[] = { REC_SIGHTING(FIELD) };
#undef STRUCT
#define STRUCT struct rec_binding
static const struct rec_field binding_fields[] = { REC_BINDING(FIELD) };
#undef STRUCT
#define STRUCT struct rec_connection
static const struct rec_field connection_fields[] = { REC_CONNECTION(FIELD) };
#undef STRUCT
#define STRUCT struct rec_connection_end
static const struct rec_field connection_end_fields[] = { REC_CONNECTION_END(FIELD) };
#undef STRUCT
#define STRUCT struct rec_call
static const struct rec_field call_fields[] = { REC_CALL(FIELD) };
#undef STRUCT
#define STRUCT struct rec_hop
static const struct rec_field hop_fields[] = { REC_HOP(FIELD) };
#undef STRUCT
#define STRUCT struct rec_loss
static const struct rec_field loss_fields[] = { REC_LOSS(FIELD) };
#undef STRUCT
#define STRUCT struct rec_unsupported
static const struct rec_field unsupported_fields[] = { REC_UNSUPPORTED(FIELD) };
#undef STRUCT
#define STRUCT struct rec_deep
static const struct rec_field deep_fields[] = { REC_DEEP(FIELD) };
#undef STRUCT
#define STRUCT struct rec_function_source
static const struct rec_field function_source_fields[] = { REC_FUNCTION_SOURCE(FIELD) };
#undef STRUCT
#define STRUCT struct rec_function_memory
static const struct rec_field function_memory_fields[] = { REC_FUNCTION_MEMORY(FIELD) };
#undef STRUCT
#define STRUCT struct rec_interposition
static const struct rec_field interposition_fields[] = { REC_INTERPOSITION(FIELD) };
#undef STRUCT
#define STRUCT struct rec_resume
static const struct rec_field resume_fields[] = { REC_RESUME(FIELD) };
#undef STRUCT

#define SCHEMA(UP, low)                                                                            \
	[REC_##UP##_KIND] = { #low, low##_fields, sizeof(low##_fields) / sizeof(low##_fields[0]),  \
			      sizeof(struct rec_##low) },
const struct rec_schema rec_schemas[REC_KIND_COUNT] = { REC_KINDS(SCHEMA) };
/* clang-format on */

enum rec_kind rec_kind_find(const char *name)
{
	int kind = 0;

	while (kind < REC_KIND_COUNT && strcmp(rec_schemas[kind].name, name))
		kind++;
	return (enum rec_kind)kind;
}
