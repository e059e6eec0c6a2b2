/* Ties the shim of one interpreter to the host. */
#include "interpreter_lib/shim/bind.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static td_shim_host bound_host;
static _Atomic int is_bound;
static pid_t host_pid;

TD_SHIM_EXPORT void td_shim_bind(const td_shim_host* host) {
  /* An older host knows less: what it does not say stays null. */
  memcpy(&bound_host, host, host->size < sizeof bound_host ? host->size : sizeof bound_host);
  host_pid = getpid();
  td_shim_bind_dynamic_loading();
  atomic_store(&is_bound, 1);
}

const td_shim_host* td_shim_bound_host(void) {
  return atomic_load(&is_bound) ? &bound_host : NULL;
}

void* td_shim_process_symbol(const char* name) {
  /* dlmopen, because dlopen is one of the names that the shim itself defines. */
  void* program = dlmopen(LM_ID_BASE, NULL, RTLD_LAZY);
  void* symbol = program == NULL ? NULL : dlsym(program, name);
  if (symbol == NULL) {
    abort();
  }
  return symbol;
}

int td_shim_in_forked_child(void) {
  return atomic_load(&is_bound) && getpid() != host_pid;
}
