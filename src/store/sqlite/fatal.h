/* The end of the process when the disk below the store failed. */
#pragma once

/* Writes one line to the log and ends the process at once with status 1: nothing more is
 * acknowledged, no destructor touches the file again. */
_Noreturn void store_fatal(const char *why);
