/* One analysis: survey, then report. */
#include "analyze/analyze.h"

#include "analyze/output.h"
#include "analyze/survey.h"

int analyze_run(const struct analyze_options *options, struct analyze_result *out, struct err *err)
{
	struct survey s;
	int rc = survey_run(&s, options, err);

	*out = (struct analyze_result){ 0 };
	if (!rc) {
		out->report = output_report(&s);
		if (!out->report)
			rc = err_set(err, ERR_INCOMPLETE,
				     "out of memory: analyze fewer bundles at once");
	}
	for (size_t i = 0; !rc && i < s.bundles_count; i++) {
		out->altered |= s.bundles[i].altered;
		out->incomplete |= !s.bundles[i].complete;
	}
	survey_release(&s);
	return rc;
}
