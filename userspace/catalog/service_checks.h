/* What the strings of a service definition must look like: each a probe_check. */
#ifndef DAYLIGHT_CATALOG_SERVICE_CHECKS_H
#define DAYLIGHT_CATALOG_SERVICE_CHECKS_H

/* Segments and bytes of a route's template. */
#define TEMPLATE_SEGMENTS_MAX 64
#define TEMPLATE_BYTES_MAX 1024

const char *service_check_method(const char *text);
const char *service_check_template(const char *text);
/* exe_globs, arg_globs, module_globs: any glob without brackets and escapes. */
const char *service_check_glob(const char *text);
/* files, except, handlers: a relative path. */
const char *service_check_file_glob(const char *text);
/* roots: an absolute path. */
const char *service_check_root_glob(const char *text);

#endif
