/* What the host tells the libc shim of one interpreter.

   The shim (interpreter_lib/shim) stands between libc and every private library of one
   interpreter. It calls back into the host for what only the host may decide. */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Callable on any thread for the rest of the process. */
typedef struct td_shim_host {
  size_t size; /* sizeof(td_shim_host) as the host was compiled */
  void* context;
  /* dlopen() as seen from inside the interpreter. `name` is what the caller asked for,
     `caller` the path of the private library that asks ("" when unknown). Returns a
     handle, or null and then has written one sentence to `message`. */
  void* (*open_library)(void* context, const char* name, int flags, const char* caller,
                        char* message, size_t message_size);
  /* Called around fork(), on the thread that forks: the first returns when no other interpreter
     forks, the second in the parent and in the child. */
  void (*before_fork)(void* context);
  void (*after_fork)(void* context);
  /* dlclose() of such a handle. */
  void (*close_library)(void* context, void* library);
} td_shim_host;

/* Exported by the shim, called once, before the interpreter starts. */
#define TD_SHIM_BIND_SYMBOL "td_shim_bind"
typedef void (*td_shim_bind_fn)(const td_shim_host* host);

#ifdef __cplusplus
}
#endif
