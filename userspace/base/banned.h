/* Functions that may not be used: included into every user-space file by the compiler's -include.
 */
#ifndef DAYLIGHT_BASE_BANNED_H
#define DAYLIGHT_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok atoi atol atoll gets
#pragma GCC poison u8 u16 u32 u64

#endif
