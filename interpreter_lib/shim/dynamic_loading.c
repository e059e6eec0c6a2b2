/* Every library that an interpreter opens is routed by the host to that interpreter's copy.

   Imports, ctypes, torch.ops.load_library and C++ code all come through here. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "interpreter_lib/shim/bind.h"

/* What the last dlopen() of this thread said; dlerror() answers it once. */
static _Thread_local char last_message[1024];
static _Thread_local int message_is_new;

static char* (*process_dlerror)(void);

void td_shim_bind_dynamic_loading(void) {
  process_dlerror = (char* (*)(void))td_shim_process_symbol("dlerror");
}

TD_SHIM_EXPORT void* dlopen(const char* name, int flags) {
  const td_shim_host* host = td_shim_bound_host();
  if (host == NULL) {
    return dlmopen(LM_ID_BASE, name, flags);
  }
  Dl_info caller;
  const char* path = "";
  if (dladdr(__builtin_return_address(0), &caller) != 0 && caller.dli_fname != NULL) {
    path = caller.dli_fname;
  }
  void* library =
      host->open_library(host->context, name, flags, path, last_message, sizeof last_message);
  message_is_new = library == NULL;
  return library;
}

TD_SHIM_EXPORT char* dlerror(void) {
  if (message_is_new) {
    message_is_new = 0;
    return last_message;
  }
  if (process_dlerror == NULL) {
    td_shim_bind_dynamic_loading();
  }
  return process_dlerror();
}

/* Whether anything goes is for the host to decide. */
TD_SHIM_EXPORT int dlclose(void* library) {
  const td_shim_host* host = td_shim_bound_host();
  if (host != NULL && host->close_library != NULL) {
    host->close_library(host->context, library);
  }
  return 0;
}
