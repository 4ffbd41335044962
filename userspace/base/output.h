/* Standard output for a reader who may leave early, as `head` does: that is no error. */
#ifndef DAYLIGHT_BASE_OUTPUT_H
#define DAYLIGHT_BASE_OUTPUT_H

#include <stdbool.h>

/*
 * Puts a stream in the place of stdout that throws away what is written once nobody reads any more.
 * All other errors stay errors. To be called once, before anything is printed; SIGPIPE is ignored.
 */
void output_open(void);

/* Nobody reads standard output any more: what is printed from here on is for nobody. */
bool output_unread(void);

#endif
