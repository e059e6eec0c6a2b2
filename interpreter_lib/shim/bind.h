/* What the parts of the shim share.

   Every exported function here bears the name of a libc function and is found before libc's
   by the private libraries of one interpreter, and by them alone. A call that the shim does
   not decide itself goes to the function that the host process uses. */
#pragma once

#include <stddef.h>

#include "interpreter_lib/abi/shim_abi.h"

#define TD_SHIM_EXPORT __attribute__((visibility("default")))

/* What the host said, or null before td_shim_bind(). */
const td_shim_host* td_shim_bound_host(void);

/* The function of this name that the main program sees: libc's, or an allocator's that was
   preloaded or linked. Ends the process if there is none, which only a broken libc can cause. */
void* td_shim_process_symbol(const char* name);

/* Finds what dlerror() needs, which must be there before anything fails: finding it is itself
   a use of the dynamic linker, which forgets its last error by that. */
void td_shim_bind_dynamic_loading(void);

/* Whether this is a child that an interpreter forked: there the process is the interpreter's
   own, and nothing that it does to it can hurt the host. */
int td_shim_in_forked_child(void);

/* The interpreter's own environment, null-terminated. */
char** td_shim_environment(void);
