/* Dangerous functions as compile errors that name the safe one. Force-included in front of every
 * file
 * (-include base/banned.h), so a use fails to compile with, say, "use_buf_add_instead_of_strcpy
 * undeclared".
 *
 * The headers that declare them are included first, so that their own lines are not hit. Only calls
 * are caught; a member or variable of the same name is fine. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#undef strcat
#undef strncpy
#undef strtok
#undef sprintf
#undef gets
#undef atoi
#undef localtime
#undef gmtime
#undef ctime
#undef rand
#undef system

#define strcpy(...) use_buf_add_or_arena_cstr_instead_of_strcpy
#define strcat(...) use_buf_add_instead_of_strcat
#define strncpy(...) use_memcpy_with_a_checked_length_instead_of_strncpy
#define strtok(...) use_str_split_instead_of_strtok
#define sprintf(...) use_snprintf_or_buf_format_instead_of_sprintf
#define gets(...) use_fgets_or_getline_instead_of_gets
#define atoi(...) use_str_to_int64_instead_of_atoi
#define localtime(...) use_localtime_r_instead_of_localtime
#define gmtime(...) use_time_format_or_gmtime_r_instead_of_gmtime
#define ctime(...) use_time_format_instead_of_ctime
#define rand(...) use_random_next_instead_of_rand
#define system(...) use_posix_spawn_or_fork_and_exec_instead_of_system
