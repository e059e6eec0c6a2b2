/* Programs that an interpreter starts inherit the interpreter's environment, not the host's. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

#include "interpreter_lib/shim/bind.h"

#include <sys/wait.h>

TD_SHIM_EXPORT int execv(const char* path, char* const arguments[]) {
  return execve(path, arguments, td_shim_environment());
}

TD_SHIM_EXPORT int execvp(const char* file, char* const arguments[]) {
  return execvpe(file, arguments, td_shim_environment());
}

TD_SHIM_EXPORT int system(const char* command) {
  if (command == NULL) {
    return 1;
  }
  char* arguments[] = {"sh", "-c", (char*)command, NULL};
  pid_t child = 0;
  const int error = posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, td_shim_environment());
  if (error != 0) {
    errno = error;
    return -1;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return -1;
    }
  }
  return status;
}
