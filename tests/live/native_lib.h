/* See native_server.c. */
#ifndef NATIVE_LIB_H
#define NATIVE_LIB_H

typedef long (*native_back)(int fd, unsigned long size);

long native_lib_call(native_back back, int fd, unsigned long size);
long native_lib_write(int fd, const char *data, unsigned long size);

#endif
