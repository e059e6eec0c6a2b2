/* The destructors of an interpreter's libraries do not run when the process ends.

   A call may still run then, on a thread that nobody waits for, and would find its library
   destroyed under it. What is in memory goes with the process anyway. */
#include "interpreter_lib/shim/bind.h"

typedef void (*handler)(void*);

/* Behind every static object of C++ and atexit(), which is linked into each library. */
TD_SHIM_EXPORT int __cxa_atexit(handler run, void* argument, void* library) {
  typedef int (*function)(handler, void*, void*);
  if (td_shim_in_forked_child()) {
    return ((function)td_shim_process_symbol("__cxa_atexit"))(run, argument, library);
  }
  return 0;
}
