/* Memory comes from the allocator of the process, whichever that is.

   The private libraries look symbols up in their own scope first (RTLD_DEEPBIND), where libc's
   malloc would hide one that is preloaded or linked into the host; what one allocated, the
   other would then be asked to free. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "interpreter_lib/shim/bind.h"

/* Defines `result name parameters` that calls the process's function of that name, looked up
   once. Two threads may look it up at once and find the same. A macro, because a C function
   cannot be generic in its signature. */
#define TD_FORWARD(result, name, parameters, arguments)                               \
  TD_SHIM_EXPORT result name parameters {                                             \
    static _Atomic(result(*) parameters) real;                                        \
    result(*function) parameters = atomic_load_explicit(&real, memory_order_relaxed); \
    if (function == NULL) {                                                           \
      function = (result(*) parameters)td_shim_process_symbol(#name);                 \
      atomic_store_explicit(&real, function, memory_order_relaxed);                   \
    }                                                                                 \
    return function arguments;                                                        \
  }

TD_FORWARD(void*, malloc, (size_t size), (size))
TD_FORWARD(void*, calloc, (size_t count, size_t size), (count, size))
TD_FORWARD(void*, realloc, (void* memory, size_t size), (memory, size))
TD_FORWARD(void*, reallocarray, (void* memory, size_t count, size_t size), (memory, count, size))
TD_FORWARD(void, free, (void* memory), (memory))
TD_FORWARD(void*, memalign, (size_t alignment, size_t size), (alignment, size))
TD_FORWARD(void*, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
TD_FORWARD(int, posix_memalign, (void** memory, size_t alignment, size_t size),
           (memory, alignment, size))
TD_FORWARD(void*, valloc, (size_t size), (size))
TD_FORWARD(void*, pvalloc, (size_t size), (size))
TD_FORWARD(size_t, malloc_usable_size, (void* memory), (memory))
