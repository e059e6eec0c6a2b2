/* One interpreter forks at a time.

   fork() runs handlers of libraries that all interpreters share, and those of OpenBLAS end its
   threads, which two threads must not do at once: glibc 2.36 and later does not prevent it. */
#include <pty.h>
#include <termios.h>
#include <unistd.h>

#include "interpreter_lib/shim/bind.h"

#include <sys/ioctl.h>

/* The host, unless it is too old to know, or is not in this process: a child is alone. */
static const td_shim_host* host_to_ask(void) {
  const td_shim_host* host = td_shim_bound_host();
  const int knows = host != NULL && host->before_fork != NULL && host->after_fork != NULL;
  return knows && !td_shim_in_forked_child() ? host : NULL;
}

TD_SHIM_EXPORT pid_t fork(void) {
  typedef pid_t (*function)(void);
  const function real = (function)td_shim_process_symbol("fork");
  const td_shim_host* host = host_to_ask();
  if (host == NULL) {
    return real();
  }
  host->before_fork(host->context);
  const pid_t child = real();
  host->after_fork(host->context);
  return child;
}

TD_SHIM_EXPORT int forkpty(int* terminal, char* name, const struct termios* settings,
                           const struct winsize* size) {
  typedef int (*function)(int*, char*, const struct termios*, const struct winsize*);
  const function real = (function)td_shim_process_symbol("forkpty");
  const td_shim_host* host = host_to_ask();
  if (host == NULL) {
    return real(terminal, name, settings, size);
  }
  host->before_fork(host->context);
  const int child = real(terminal, name, settings, size);
  host->after_fork(host->context);
  return child;
}
