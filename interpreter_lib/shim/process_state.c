/* What belongs to the whole process is not an interpreter's to change.

   Signal dispositions and the umask look changed to the interpreter that sets them and are not.
   The working folder, the locale and interval timers cannot be looked at that way, so changing
   them is refused: Python raises PermissionError, locale.Error or signal.ItimerError. In a child
   that an interpreter forked all of it works as usual. */
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "interpreter_lib/shim/bind.h"

#include <sys/stat.h>
#include <sys/time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction dispositions[NSIG];
static unsigned char is_set[NSIG];
static mode_t seen_umask;
static int umask_is_set;

static int real_sigaction(int number, const struct sigaction* action, struct sigaction* old) {
  typedef int (*function)(int, const struct sigaction*, struct sigaction*);
  return ((function)td_shim_process_symbol("sigaction"))(number, action, old);
}

TD_SHIM_EXPORT int sigaction(int number, const struct sigaction* action, struct sigaction* old) {
  if (td_shim_in_forked_child()) {
    return real_sigaction(number, action, old);
  }
  if (number < 1 || number >= NSIG ||
      (action != NULL && (number == SIGKILL || number == SIGSTOP))) {
    errno = EINVAL;
    return -1;
  }
  pthread_mutex_lock(&lock);
  int failed = 0;
  if (!is_set[number]) {
    failed = real_sigaction(number, NULL, &dispositions[number]);
    is_set[number] = failed == 0;
  }
  if (failed == 0 && old != NULL) {
    *old = dispositions[number];
  }
  if (failed == 0 && action != NULL) {
    dispositions[number] = *action;
  }
  pthread_mutex_unlock(&lock);
  return failed;
}

TD_SHIM_EXPORT sighandler_t signal(int number, sighandler_t handler) {
  struct sigaction action;
  struct sigaction old;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

TD_SHIM_EXPORT int siginterrupt(int number, int interrupt) {
  struct sigaction action;
  if (sigaction(number, NULL, &action) != 0) {
    return -1;
  }
  action.sa_flags = interrupt ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
  return sigaction(number, &action, NULL);
}

TD_SHIM_EXPORT unsigned alarm(unsigned seconds) {
  typedef unsigned (*function)(unsigned);
  /* SIGALRM would end the process: its handler, set above, is not really there. */
  return td_shim_in_forked_child() ? ((function)td_shim_process_symbol("alarm"))(seconds) : 0;
}

TD_SHIM_EXPORT int setitimer(__itimer_which_t which, const struct itimerval* value,
                             struct itimerval* old) {
  typedef int (*function)(__itimer_which_t, const struct itimerval*, struct itimerval*);
  if (td_shim_in_forked_child()) {
    return ((function)td_shim_process_symbol("setitimer"))(which, value, old);
  }
  errno = EPERM;
  return -1;
}

TD_SHIM_EXPORT int chdir(const char* path) {
  typedef int (*function)(const char*);
  if (td_shim_in_forked_child()) {
    return ((function)td_shim_process_symbol("chdir"))(path);
  }
  errno = EPERM;
  return -1;
}

TD_SHIM_EXPORT int fchdir(int folder) {
  typedef int (*function)(int);
  if (td_shim_in_forked_child()) {
    return ((function)td_shim_process_symbol("fchdir"))(folder);
  }
  errno = EPERM;
  return -1;
}

TD_SHIM_EXPORT mode_t umask(mode_t mask) {
  typedef mode_t (*function)(mode_t);
  if (td_shim_in_forked_child()) {
    return ((function)td_shim_process_symbol("umask"))(mask);
  }
  pthread_mutex_lock(&lock);
  /* The real one cannot be read without being set, so the usual default stands for it. */
  const mode_t old = umask_is_set ? seen_umask : 022;
  seen_umask = mask & 0777;
  umask_is_set = 1;
  pthread_mutex_unlock(&lock);
  return old;
}

TD_SHIM_EXPORT char* setlocale(int category, const char* name) {
  typedef char* (*function)(int, const char*);
  const function real = (function)td_shim_process_symbol("setlocale");
  char* current = real(category, NULL);
  if (name == NULL || td_shim_in_forked_child()) {
    return real(category, name);
  }
  return current != NULL && strcmp(current, name) == 0 ? current : NULL;
}
